// Instants and durations: ISO 8601 outside, integer milliseconds inside. The counterpart of after/dates.py.
// What is none is thrown as {problem}, a predicate that a caller can put a field's name before.

const json = require("./json");

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const EARLIEST = -62135596800000;
const LATEST = 253402300799999;
const LONGEST = 9999 * 366 * DAY;
// JavaScript's own years before 100 mean the twentieth century; 400 years later the calendar is the same.
const CYCLE = { years: 400, days: 146097 };

const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const COLON = 58;
const ZULU = 90;

const TENTHS = [1, 10, 100, 1000, 10000, 100000, 1000000];
const OFFSET = /[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:\.[0-9]+)?)?)?$/;
const DURATION = new RegExp(
  "^P(?=[0-9T])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?" +
    "(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:[.,]([0-9]+))?S)?)?$"
);

exports.parseInstant = function (text) {
  const ms = typeof text === "string" ? instant(text) : null;
  if (ms === null || !(ms >= EARLIEST && ms <= LATEST)) {
    throw { problem: json.quoted(text) + " is not an ISO 8601 date" };
  }
  return ms;
};

exports.formatInstant = function (ms) {
  if (!(ms >= EARLIEST && ms <= LATEST)) {
    throw { problem: ms + " is outside the years 0001 to 9999" };
  }
  return new Date(ms).toISOString();
};

// An ISO 8601 duration of fixed length, in milliseconds.
exports.parseElapsed = function (text) {
  const { years, months, days, ms } = parts(text);
  if (years || months) {
    const shown = "'" + duration(years, months, days, ms) + "'";
    throw { problem: shown + " has no fixed length; use days, hours, minutes or seconds" };
  }
  return days * DAY + ms;
};

// Throw unless a text is an ISO 8601 duration that something can be repeated after.
exports.checkInterval = function (text) {
  const { years, months, days, ms } = parts(text);
  if (!(years || months || days || ms)) {
    throw { problem: "'PT0S' is no interval, it never advances" };
  }
};

// A duration in the parts that ISO 8601 keeps apart; weeks are given as days.
function parts(text) {
  const match = typeof text === "string" && text.length <= 100 && DURATION.exec(text);
  if (!match) {
    throw { problem: json.quoted(text) + " is not an ISO 8601 duration" };
  }
  const [years, months, weeks, alone, hours, minutes, seconds] = match.slice(1, 8).map((part) => Number(part || 0));
  const fraction = Number((match[8] || "").slice(0, 3).padEnd(3, "0"));
  const days = weeks * 7 + alone;
  const ms = hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction;
  if ((years * 366 + months * 31 + days) * DAY + ms > LONGEST) {
    throw { problem: json.quoted(text) + " is longer than 9999 years" };
  }
  return { years: years, months: months, days: days, ms: ms };
}

function duration(years, months, days, ms) {
  const seconds = (ms % MINUTE) / SECOND;
  const joined = (pairs) => pairs.map(([count, unit]) => (count ? count + unit : "")).join("");
  const time = joined([
    [Math.floor(ms / HOUR), "H"],
    [Math.floor((ms % HOUR) / MINUTE), "M"],
    [seconds, "S"],
  ]);
  return "P" + joined([[years, "Y"], [months, "M"], [days, "D"]]) + (time && "T" + time);
}

// The instant that a text stands for, null where for none: what Python 3.11's `datetime.fromisoformat` takes, with all
// its tolerance, of dates that name a day.
function instant(text) {
  const date = day(text);
  if (date === null) {
    return null;
  }
  const start = date.days * DAY;
  if (text.length === date.end) {
    return start;
  }
  const separator = text[date.end];
  if ((separator !== "T" && separator !== " ") || text.includes("\n")) {
    return null;
  }
  const time = timeOfDay(text, date.end + 1);
  return time === null ? null : start + Math.floor(time / 1000);
}

// The day that a text begins with, counted from 1970, and where it ends in the text.
function day(text) {
  const year = number(text, 0, 4);
  const basic = text[4] === "-" ? 0 : 1;
  if (!(year >= 1)) {
    return null;
  }
  if (text[5 - basic] === "W") {
    const week = number(text, 6 - basic, 2);
    const weekday = number(text, 9 - 2 * basic, 1);
    const closed = basic || text[8] === "-";
    return closed && weekday >= 1 && weekday <= 7 ? ofWeek(year, week, weekday, 10 - 2 * basic) : null;
  }
  const month = number(text, 5 - basic, 2);
  const ofMonth = number(text, 8 - 2 * basic, 2);
  const closed = basic || text[7] === "-";
  if (!closed || !(month >= 1 && month <= 12 && ofMonth >= 1 && ofMonth <= monthLength(year, month))) {
    return null;
  }
  return { days: days(year, month, ofMonth), end: 10 - 2 * basic };
}

function days(year, month, ofMonth) {
  return Date.UTC(year + CYCLE.years, month - 1, ofMonth) / DAY - CYCLE.days;
}

function monthLength(year, month) {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 ? (isLeap ? 29 : 28) : month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function ofWeek(year, week, weekday, end) {
  const first = firstMonday(year);
  const weeks = (firstMonday(year + 1) - first) / 7;
  return week >= 1 && week <= weeks ? { days: first + (week - 1) * 7 + weekday - 1, end: end } : null;
}

// The Monday of the week that has the 4th of January in it.
function firstMonday(year) {
  const fourth = days(year, 1, 4);
  return fourth - ((((fourth + 3) % 7) + 7) % 7);
}

// Microseconds since midnight, in UTC, of the time with or without an offset that the text has from `start` on.
function timeOfDay(text, start) {
  let zone = start + 1;
  while (zone < text.length && !beginsZone(text.charCodeAt(zone))) {
    zone++;
  }
  const time = clock(text, start, zone);
  if (time === null || !(time.hour < 24 && time.minute < 60 && time.second < 60)) {
    return null;
  }
  if (zone >= text.length) {
    return time.rest ? null : microseconds(time);
  }
  if (text[zone] === "Z") {
    return text.charCodeAt(zone + 1) > 0 ? null : microseconds(time);
  }
  const offset = clock(text, zone + 1, text.length);
  if (offset === null || offset.rest || !(text.endsWith("Z") || OFFSET.test(text))) {
    return null;
  }
  const whole = offset.hour || offset.minute || offset.second;
  const east = whole ? microseconds(offset) : 0; // a fraction of a second alone is none, says Python
  return microseconds(time) - (text[zone] === "-" ? -east : east);
}

function beginsZone(unit) {
  return unit === PLUS || unit === MINUS || unit === ZULU;
}

function microseconds(time) {
  return (time.hour * HOUR + time.minute * MINUTE + time.second * SECOND) * 1000 + time.fraction;
}

// Hours, minutes, seconds and the fraction in microseconds between two places; `rest` where more text follows.
function clock(text, start, end) {
  const parts = [0, 0, 0];
  let at = start;
  let separated = false;
  for (let place = 0; place < 3; place++) {
    parts[place] = number(text, at, 2);
    if (parts[place] < 0) {
      return null;
    }
    const next = text.charCodeAt(at + 2) || 0;
    at += 3;
    separated = place === 0 ? next === COLON : separated;
    if (at >= end) {
      return { hour: parts[0], minute: parts[1], second: parts[2], fraction: 0, rest: next !== 0 };
    }
    if (next === DOT || next === COMMA) {
      break;
    }
    if (!separated) {
      at--;
    } else if (next !== COLON) {
      return null;
    }
  }
  const length = Math.min(end - at, 6);
  const fraction = number(text, at, length) * TENTHS[6 - length];
  at += length;
  while (isDigit(text.charCodeAt(at))) {
    at++;
  }
  const rest = text.charCodeAt(at) > 0;
  return fraction < 0 ? null : { hour: parts[0], minute: parts[1], second: parts[2], fraction: fraction, rest: rest };
}

// The number that so many digits are, -1 where they are none.
function number(text, at, count) {
  let value = 0;
  for (const end = at + count; at < end; at++) {
    const unit = text.charCodeAt(at);
    if (!isDigit(unit)) {
      return -1;
    }
    value = value * 10 + unit - 48;
  }
  return value;
}

function isDigit(unit) {
  return unit >= 48 && unit <= 57;
}
