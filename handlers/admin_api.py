"""Who calls, backends and keys, for operators."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
