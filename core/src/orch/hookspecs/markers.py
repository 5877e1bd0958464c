"""The two decorators: `hookimpl` marks a plugin's implementation, `hookspec` one of core's specifications."""

from pluggy import HookimplMarker, HookspecMarker

PROJECT = "orch"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
