"""The variables of the person's environment that a run on this machine inherits."""

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from cockpit.fleet.secret_names import is_secret

ALWAYS = ("PATH", "HOME", "USER", "LANG", "LC_*", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
TRAINING = (
    "CUDA_*", "NVIDIA_*", "NCCL_*", "GLOO_*", "PYTORCH_*", "TORCH*", "TRITON_*", "OMP_*", "MKL_*", "OPENBLAS_*",
    "NUMEXPR_*", "XLA_*", "JAX_*", "TF_*", "HSA_*", "HIP_*", "ROCM_*", "ROCR_*", "HF_*", "HUGGINGFACE_*",
    "TRANSFORMERS_*", "TOKENIZERS_*", "DATASETS_*", "WANDB_*", "UV_*", "CUBLAS_*", "CUDNN_*", "KMP_*", "NUMBA_*",
    "KERAS_*", "ACCELERATE_*", "DEEPSPEED_*", "MASTER_ADDR", "MASTER_PORT",
    "XDG_CACHE_HOME", "XDG_DATA_HOME", "CONDA_PREFIX", "VIRTUAL_ENV",
    "PYTHONPATH", "PYTHONHASHSEED", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "JAVA_HOME", "GOPATH", "GOCACHE", "GOFLAGS",
    "CARGO_HOME", "CARGO_TARGET_*", "RUSTUP_HOME", "RUSTFLAGS", "JULIA_DEPOT_PATH", "R_LIBS", "R_LIBS_*", "NODE_PATH",
)  # fmt: skip
"""Variables for training: caches, devices, threads, proxies, compilers and packages of other languages."""
_URL_WITH_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
HUGGINGFACE_DATA = ("hub", "datasets", "assets", "modules", "xet")
"""Folders of Hugging Face's home that hold data. Its tokens lie beside them."""


def passed_on(wanted: Iterable[str] = (), environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that a run inherits: the usual ones, and those that match `wanted`.

    `wanted` holds names and patterns such as `MYLIB_*`. Secrets and URLs with a password are left out, whatever matches
    them.
    """
    patterns = (*ALWAYS, *TRAINING, *wanted)
    return {
        name: value
        for name, value in environment.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
        and not is_secret(name)
        and not _URL_WITH_PASSWORD.search(value)
    }


def data_folders(environment: Mapping[str, str]) -> list[Path]:
    """List the usual folders of data, which a confined run may read. None of them holds a token."""
    caches = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    huggingface = Path(environment.get("HF_HOME") or caches / "huggingface")
    torch = Path(environment.get("TORCH_HOME") or caches / "torch")
    named = [Path(environment[name]) for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE") if environment.get(name)]
    parts = [huggingface / name for name in HUGGINGFACE_DATA]
    folders = [Path.home() / ".cache" / "autoresearch", torch / "hub", *parts, *named]
    return [folder for folder in folders if folder.is_absolute() and folder.is_dir()]


def kernel_folders(environment: Mapping[str, str]) -> list[Path]:
    """List the folders of models and kernels from Hugging Face, which a training script may load; no data sets."""
    hubs = [folder for folder in data_folders(environment) if folder.name == "hub"]
    return [folder for hub in hubs for kind in ("models", "kernels") for folder in sorted(hub.glob(f"{kind}--*"))]
