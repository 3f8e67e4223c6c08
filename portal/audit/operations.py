"""Verifying the chain, and keeping when and with what result."""

import logging

from portal import clock
from portal.audit.chain import Result, check_chain
from portal.audit.models import ChainCheck

logger = logging.getLogger(__name__)


def verify_chain() -> Result:
    """Check the whole chain and keep the result; a fault is logged as well."""
    result = check_chain()
    fault = result.fault
    ChainCheck.objects.create(
        at=clock.now(),
        entries=result.entries,
        head=result.head,
        broken_at=fault.number if fault else None,
        fault=fault.kind if fault else "",
        text=fault.text if fault else "",
    )
    if fault:
        logger.critical("the record is broken at entry %s: %s", fault.number, fault.kind)
    return result
