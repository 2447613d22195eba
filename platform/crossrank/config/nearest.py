"""The name that was probably meant where a name is not known: by other libraries' names for the same, or by spelling.

Other libraries' names are never accepted, so that a setting has one name in files, flags and manifests; the error names
ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

LEAST_LIKE = 0.6
"""Similarity (`difflib`) from which one name may be a misspelling of another."""
LEAST_LIKE_OF_VALUES = 0.75
"""Similarity from which one value may be a misspelling of another. Values are few: in doubt, all can be listed."""
LEAST_LETTERS = 4
"""Letters that a name needs to stand for a longer one that begins or ends with it."""

NAMES_OF_PEERS: dict[str, tuple[str, ...]] = {
    # ours, the first that is known where the name was given: their names
    **dict.fromkeys(("lr", "peak_lr", "learningrate"), ("learning_rate",)),
    **dict.fromkeys(("head_lr", "classifier_lr"), ("head_learning_rate",)),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs"), ("num_train_epochs",)),
    **dict.fromkeys(
        (
            "batch_size",
            "train_batch_size",
            "global_batch_size",
            "per_device_batch_size",
            "per_device_train_batch_size",
            "per_gpu_train_batch_size",
            "gradient_accumulation_steps",
            "accumulate_grad_batches",
            "max_batch_size",
        ),
        ("groups_per_step", "max_client_batch_size"),
    ),
    **dict.fromkeys(("micro_batch_size", "train_micro_batch_size_per_gpu"), ("micro_batch_tokens",)),
    **dict.fromkeys(
        (
            "model",
            "m",
            "model_name",
            "model_id",
            "model_path",
            "model_name_or_path",
            "pretrained_model_name_or_path",
            "base",
            "base_model",
            "checkpoint",
            "cross_encoder",
            "reranker",
            "reranker_name_or_path",
        ),
        ("model", "base", "models", "teacher"),
    ),
    **dict.fromkeys(("teacher_model", "teacher_model_name_or_path", "judge"), ("teacher", "model")),
    **dict.fromkeys(
        ("embedder", "embedding_model", "embedder_name_or_path", "encoder_name_or_path", "retriever"), ("encoder",)
    ),
    **dict.fromkeys(("tuned_model", "finetuned", "fine_tuned", "adapter"), ("tuned",)),
    **dict.fromkeys(("models_to_merge", "model_names"), ("models", "tuned")),
    **dict.fromkeys(
        (
            "max_len",
            "max_seq_length",
            "max_seq_len",
            "max_model_len",
            "model_max_length",
            "seq_len",
            "cutoff_len",
            "max_tokens",
            "query_max_len",
            "passage_max_len",
            "rerank_max_length",
            "reranker_max_length",
        ),
        ("max_length",),
    ),
    **dict.fromkeys(("top_k", "topk", "k", "num_results", "return_top_k", "rerank_top_k"), ("top_n", "depth")),
    **dict.fromkeys(("search_top_k", "num_candidates", "n_candidates", "hits"), ("depth",)),
    **dict.fromkeys(
        ("out", "o", "out_dir", "outdir", "output_dir", "output_file", "save_dir", "save_path"), ("output",)
    ),
    **dict.fromkeys(
        (
            "data",
            "data_path",
            "dataset",
            "dataset_name",
            "input",
            "input_file",
            "i",
            "train",
            "train_data",
            "train_dataset",
            "train_file",
            "train_group",
            "train_groups",
            "train_path",
        ),
        ("groups", "input"),
    ),
    **dict.fromkeys(
        (
            "dev_file",
            "eval_data",
            "eval_dataset",
            "eval_file",
            "val_data",
            "valid_file",
            "validation_file",
            "test_file",
        ),
        ("eval_groups", "groups"),
    ),
    **dict.fromkeys(("eval_ratio", "test_size", "val_ratio", "val_split", "validation_split"), ("eval_fraction",)),
    **dict.fromkeys(("candidate_pool", "collection", "docs", "documents", "index", "passages"), ("corpus",)),
    **dict.fromkeys(("query", "query_file", "questions", "topics"), ("queries", "groups")),
    **dict.fromkeys(("judgements", "judgments", "qrel", "relevance"), ("qrels",)),
    **dict.fromkeys(("bm25", "first_stage", "trec_run", "ranking"), ("candidates", "run")),
    **dict.fromkeys(("run_file", "trec", "output_run"), ("run", "candidates")),
    **dict.fromkeys(
        ("group_size", "n_negatives", "neg_num", "negative_number", "num_hard_negatives", "num_negatives"),
        ("negatives", "train_group_size"),
    ),
    **dict.fromkeys(("range_for_sampling", "range_min"), ("skip_top",)),
    **dict.fromkeys(("margin", "max_score"), ("relative_margin", "teacher_margin")),
    **dict.fromkeys(("warmup", "warmup_proportion", "warmup_steps", "num_warmup_steps"), ("warmup_ratio",)),
    **dict.fromkeys(("lr_scheduler_type", "schedule", "scheduler"), ("lr_scheduler",)),
    **dict.fromkeys(
        ("amp", "bf16", "dtype", "fp16", "half", "mixed_precision", "torch_dtype", "use_bf16", "use_fp16"),
        ("precision",),
    ),
    **dict.fromkeys(("wd",), ("weight_decay",)),
    **dict.fromkeys(
        ("clip", "clip_grad_norm", "grad_clip", "gradient_clip_val", "max_gradient_norm"), ("max_grad_norm",)
    ),
    **dict.fromkeys(("loss", "loss_fn", "loss_type"), ("weight_group_ce",)),
    **dict.fromkeys(("distillation", "kd_loss_type", "knowledge_distillation"), ("weight_kl",)),
    **dict.fromkeys(("lora", "lora_r", "peft", "r", "rank", "use_lora"), ("lora_rank",)),
    **dict.fromkeys(("eval_every", "eval_strategy", "evaluation_steps", "evaluation_strategy"), ("eval_steps",)),
    **dict.fromkeys(("checkpoint_every", "save_every", "save_strategy"), ("save_steps",)),
    **dict.fromkeys(("metric_for_best_model",), ("metric",)),
    **dict.fromkeys(("patience",), ("early_stopping_patience",)),
    **dict.fromkeys(("random_seed", "random_state"), ("seed",)),
    **dict.fromkeys(("from", "source_lang", "source_language", "src", "src_lang"), ("source", "from")),
    **dict.fromkeys(("target_lang", "target_language", "tgt", "tgt_lang", "to"), ("target", "to")),
    **dict.fromkeys(("lang",), ("language", "target")),
    **dict.fromkeys(("engine", "provider", "service", "translator"), ("backend",)),
    **dict.fromkeys(("budget", "max_cost", "max_usd"), ("budget_usd",)),
    **dict.fromkeys(("max_queries", "max_samples", "max_train_samples", "n", "num_samples"), ("limit",)),
    **dict.fromkeys(("clobber", "force", "overwrite_output_dir"), ("overwrite",)),
    **dict.fromkeys(("dry", "plan", "estimate"), ("dry_run",)),
    **dict.fromkeys(
        ("n_workers", "nproc", "nproc_per_node", "num_proc", "num_processes", "num_workers", "replicas", "world_size"),
        ("workers", "min_replicas"),
    ),
    **dict.fromkeys(
        ("cuda", "device", "devices", "gpu", "gpus", "n_gpu", "num_gpus", "use_gpu"),
        ("gpus_per_worker", "gpus_per_replica"),
    ),
    **dict.fromkeys(
        ("prompt", "query_instruction", "query_instruction_for_rerank", "query_prefix", "task"),
        ("instruction", "query_prompt"),
    ),
    **dict.fromkeys(("activation", "activation_fn", "apply_sigmoid", "sigmoid", "softmax"), ("normalize",)),
    **dict.fromkeys(("cfg", "conf", "config_file", "yaml"), ("config",)),
    **dict.fromkeys(("api_key", "key", "token"), ("api_keys",)),
    **dict.fromkeys(("served_model_name",), ("model_name",)),
    **dict.fromkeys(("bind", "ip"), ("host",)),
    **dict.fromkeys(("weight", "ratio"), ("alpha",)),
}
"""Names of FlagEmbedding, sentence-transformers, transformers and others, to our names for the same."""

VERBS_OF_PEERS: dict[str, str] = {
    **dict.fromkeys(("finetune", "fine-tune", "fit", "run-train", "tune"), "train"),
    **dict.fromkeys(("benchmark", "compare", "eval", "test"), "evaluate"),
    **dict.fromkeys(("hard-negatives", "hn-mine", "mine-hard-negatives", "negatives"), "mine"),
    **dict.fromkeys(("compute-score", "infer", "inference", "predict"), "score"),
    **dict.fromkeys(("rank", "search"), "rerank"),
    **dict.fromkeys(("export", "import"), "convert"),
    **dict.fromkeys(("api", "server", "start"), "serve"),
    **dict.fromkeys(("chain", "pipeline", "run"), "recipe"),
    **dict.fromkeys(("average", "soup"), "merge"),
    **dict.fromkeys(("clean",), "filter"),
}
"""Names that others give to what a verb does, to that verb."""

VALUES_OF_PEERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("float32", "full"), ("fp32",)),
    **dict.fromkeys(("float16", "half"), ("fp16",)),
    **dict.fromkeys(("bfloat16",), ("bf16",)),
    **dict.fromkeys(("logit", "logits", "raw"), ("none",)),
    **dict.fromkeys(("probability", "probabilities"), ("sigmoid",)),
    **dict.fromkeys(("aws", "amazon_translate"), ("amazon",)),
    **dict.fromkeys(("m2m100", "marian", "nllb", "opus"), ("seq2seq",)),
    **dict.fromkeys(("parquet",), ("groups",)),
    **dict.fromkeys(("json", "jsonl"), ("groups-jsonl",)),
    **dict.fromkeys(("bge", "flag_embedding"), ("flagembedding",)),
    **dict.fromkeys(("sentence_transformers", "triplets"), ("st-triplets",)),
    **dict.fromkeys(("hf", "huggingface", "hub"), ("dataset",)),
    **dict.fromkeys(("msmarco", "ms_marco"), ("msmarco-triplets",)),
    **dict.fromkeys(("run", "trec"), ("trec-run",)),
    **dict.fromkeys(("csv",), ("qa-csv",)),
    **dict.fromkeys(("qrels",), ("trec-qrels",)),
}
"""Values of others, to our values that mean the same."""

UNNEEDED: dict[str, str] = {
    **dict.fromkeys(
        ("continue", "resume", "resume_from", "resume_from_checkpoint"),
        "the same command goes on by itself where it was",
    ),
    **dict.fromkeys(
        ("batch_size", "eval_batch_size", "per_device_eval_batch_size"),
        "batches are cut by tokens, so there is no size to set",
    ),
    **dict.fromkeys(("debug", "log_level", "quiet", "v", "verbose"), "CROSSRANK_LOG=json has every line as data"),
    **dict.fromkeys(("trust_remote_code",), "no code of a model is run"),
}
"""Names for which there is no setting, and why none is missed."""


def ours(name: str, known: Collection[str], of_peers: Mapping[str, Iterable[str]] = NAMES_OF_PEERS) -> str | None:
    """The known name for what others call `name`, or that differs from it in dashes and capitals only.

    Args:
        known: names with underscores.
        of_peers: names of others, to ours.
    """
    plain = _plain(name)
    by_plain = {_plain(each): each for each in known}
    wanted = (plain, *map(_plain, of_peers.get(plain, ())))
    return next((by_plain[each] for each in wanted if each in by_plain), None)


def nearest(name: str, known: Collection[str], of_peers: Mapping[str, Iterable[str]] = NAMES_OF_PEERS) -> str | None:
    """The known name that `name` was probably meant to be: by `ours`, else by spelling; None where nothing is near."""
    meant = ours(name, known, of_peers)
    if meant is not None:
        return meant
    plain = _plain(name)
    by_plain = {_plain(each): each for each in known}
    longer = [each for each in by_plain if _begins_or_ends(each, plain)] if len(plain) >= LEAST_LETTERS else []
    found = [
        *get_close_matches(plain, longer, n=1, cutoff=0.0),
        *get_close_matches(plain, by_plain, n=1, cutoff=LEAST_LIKE),
    ]
    return by_plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _begins_or_ends(longer: str, part: str) -> bool:
    return longer.startswith(f"{part}_") or longer.endswith(f"_{part}")


def unneeded(name: str) -> str | None:
    """Why there is no setting of that name, where one of another library is known to have no counterpart."""
    return UNNEEDED.get(_plain(name))


def unknown_key(place: str, key: str, known: Collection[str]) -> str:
    """The sentence for a key that is not known.

    Args:
        place: what holds the key, such as the path of a file.
    """
    meant = nearest(key, known)
    way_out = f"write {meant}" if meant else unneeded(key) or "no key is near it; --help lists those that there are"
    return f"{place} has the key {key}, which is not known; {way_out}"


def in_place_of(value: str, known: Collection[str]) -> str:
    """What to write in place of a value that is none of those which are taken: the nearest, else one of them."""
    like = get_close_matches(value, known, n=1, cutoff=LEAST_LIKE_OF_VALUES)
    meant = next(iter(like), ours(value, known, VALUES_OF_PEERS))
    return f"write {meant}" if meant is not None else f"use one of {', '.join(known)}"
