"""When a repetition comes round: nominal times live in a time zone, instants in UTC."""

from after.recurrence.cron import cron
from after.recurrence.interval import Interval
from after.recurrence.rules import Rule, check_repeat, jitter, rule, upcoming
from after.recurrence.zoned import Zoned
from after.recurrence.zones import parse_zone

__all__ = ["Interval", "Rule", "Zoned", "check_repeat", "cron", "jitter", "parse_zone", "rule", "upcoming"]
