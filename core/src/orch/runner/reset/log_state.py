"""Reset of the logging module: handlers, filters, levels and switches of all loggers."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from orch.runner.reset.entry import Reset

_PRISTINE = (logging.NOTSET, False, True, (), ())
Facts = tuple[int, bool, bool, tuple[Any, ...], tuple[Any, ...]]
"""Level, disabled, propagate, handlers, filters."""


def _loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for item in list(logging.root.manager.loggerDict.values()):
        if isinstance(item, logging.Logger):
            yield item


def _facts(logger: logging.Logger) -> Facts:
    return logger.level, logger.disabled, logger.propagate, (*logger.handlers,), (*logger.filters,)


def _switches() -> tuple[Any, ...]:
    manager = logging.root.manager
    return (
        manager.disable,
        manager.loggerClass,
        manager.logRecordFactory,
        logging.getLoggerClass(),
        logging.getLogRecordFactory(),
        logging.raiseExceptions,
        logging.lastResort,
    )


def _handler_facts(handler: logging.Handler) -> tuple[Any, ...]:
    return handler.level, handler.formatter, (*handler.filters,), getattr(handler, "stream", None)


def _save() -> tuple[dict[logging.Logger, Facts], dict[logging.Handler, tuple[Any, ...]], tuple[Any, ...]]:
    loggers = {logger: _facts(logger) for logger in _loggers()}
    handlers = {handler for facts in loggers.values() for handler in facts[3]}
    return loggers, {handler: _handler_facts(handler) for handler in handlers}, _switches()


def _restore(
    saved: tuple[dict[logging.Logger, Facts], dict[logging.Handler, tuple[Any, ...]], tuple[Any, ...]],
) -> None:
    loggers, handlers, switches = saved
    logging.captureWarnings(False)
    if _switches() != switches:
        _restore_switches(switches)
    for logger in _loggers():
        wanted = loggers.get(logger, _PRISTINE)
        if _facts(logger) != wanted:
            _restore_logger(logger, wanted, is_new=logger not in loggers)
    for handler, facts in handlers.items():
        if _handler_facts(handler) != facts:
            level, handler.formatter, filters, stream = facts
            handler.setLevel(level)
            handler.filters[:] = filters
            if stream is not None:
                handler.stream = stream  # type: ignore[attr-defined]  # it has one


def _restore_switches(switches: tuple[Any, ...]) -> None:
    manager = logging.root.manager
    logging.disable(switches[0])
    manager.loggerClass, manager.logRecordFactory = switches[1:3]
    logging.setLoggerClass(switches[3])
    logging.setLogRecordFactory(switches[4])
    logging.raiseExceptions, logging.lastResort = switches[5:]


def _restore_logger(logger: logging.Logger, wanted: Facts, *, is_new: bool) -> None:
    level, logger.disabled, logger.propagate, handlers, filters = wanted
    if is_new:  # a library that a task has imported first: what keeps it quiet stays
        handlers = tuple(h for h in logger.handlers if isinstance(h, logging.NullHandler))
    for handler in logger.handlers:
        if handler not in handlers:
            with suppress(Exception):  # foreign code
                handler.flush()
                handler.close()
    logger.handlers[:] = handlers
    logger.filters[:] = filters
    if logger.level != level:
        logger.setLevel(level)


LOGGING = Reset("logging", _save, _restore)
