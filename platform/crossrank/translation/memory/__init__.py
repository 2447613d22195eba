"""The translation memory: every text is translated once in its life.

    translations-000000-1a2b3c4d.parquet ...   what was kept, a row a text: any Parquet reader takes the folder
    _footers/                                  copies of the files' footers, by which a damaged one is still read
    _log.blocks or _blocks/                    what was kept since: blocks that are appended, each durable
    _lock                                      held by the one job that writes

Shape letters: P parts, N rows of a part, L keys looked up.
"""
