"""The model behind an address, over a folder, and in a browser; needs the extra `serve` of this package.

Names are imported when they are first used: the parts need very different things, and a worker must start quickly.
"""

from importlib import import_module
from typing import Any

WHERE = {
    "BrowserMissing": "browser",
    "Limits": "limits",
    "NOTICE": "predictor",
    "Predictor": "predictor",
    "REFER": "predictor",
    "create_app": "app",
    "fetch_assets": "assets",
    "in_browser": "browser",
    "mount_page": "page",
    "newest_bundle": "process",
    "predict_folder": "batch",
    "running": "process",
    "visit_page": "browser",
}
EXTRA = {"fastapi", "multipart", "prometheus_client", "python_multipart", "starlette", "uvicorn"}
__all__ = sorted(WHERE)


def __getattr__(name: str) -> Any:
    """Import what is asked for. ModuleNotFoundError that names the extra, when it is not installed."""
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        need = f'{error.name} is not installed; serving needs the extra `serve`: pip install "course-utils[serve]"'
        raise ModuleNotFoundError(need, name=error.name) from error
