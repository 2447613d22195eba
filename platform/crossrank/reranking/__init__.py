"""The offline job: queries, a corpus and candidates in, ranked Parquet and a TREC run out.

settings -> prepare (blocks of queries, their candidates as corpus rows)
         -> block   (score one block, write one part; on_ray runs it on workers)
         -> derive  (totals, rejected rows and the TREC run, from the parts)
"""
