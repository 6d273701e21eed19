"""The audit of logs in which digests are stand-ins, as in most tests: all but that they are digests of something."""

from coordinator.audit_claims import ClaimsChecker
from schemas.topics import Topic
from streams.audit import CHECKERS, Checkers

WITH_STAND_INS: Checkers = {**CHECKERS, Topic.CLAIMS: [ClaimsChecker]}
