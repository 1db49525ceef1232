// What is wrong with the field `repeat` of a task. The counterpart of the checks in after/recurrence, as far as they go
// without a calendar: time zones, cron expressions and recurrence rules are read by workers, who end a task whose they
// cannot read.

const dates = require("./dates");
const errors = require("./errors");
const json = require("./json");

const MAX_TEXT = 1000;
const MAX_RUNS = 1000000000;
const KINDS = ["interval", "cron", "rrule"];

// Check the `repeat` of a task whose other fields are of the right types; `date` is the task's in milliseconds, null where
// it has none or occurrences are not counted from it.
exports.check = function (repeat, date) {
  if (typeof repeat === "string") {
    repetition(repeat);
    return;
  }
  const given = KINDS.filter((kind) => isGiven(repeat[kind]));
  if (given.length !== 1) {
    throw errors.invalidTask("repeat", "expected exactly one of " + KINDS.join(", "));
  }
  const length = json.length(repeat[given[0]]);
  if (length > MAX_TEXT) {
    throw errors.invalidTask("repeat", "a text of " + length + " characters is longer than " + MAX_TEXT);
  }
  const until = isGiven(repeat.until) ? checked("repeat.until", dates.parseInstant, repeat.until) : null;
  if (isGiven(repeat.jitter)) {
    checked("repeat.jitter", dates.parseElapsed, repeat.jitter);
  }
  if (isGiven(repeat.interval)) {
    checked("repeat.interval", dates.checkInterval, repeat.interval);
  }
  if (given[0] === "interval" && date !== null && until !== null && until < date) {
    throw errors.invalidTask("repeat", "has no occurrence at or after the task's `date`");
  }
};

// The start that a text of the form `Rn/START/PERIOD` names, null where it names none; throws for any other text.
exports.start = function (repeat) {
  return typeof repeat === "string" ? repetition(repeat) : null;
};

// Throw where a new task's `date` is not the start that its `repeat` names.
exports.checkStart = function (repeat, date) {
  const start = exports.start(repeat);
  if (start !== null && start !== date) {
    throw errors.invalidTask("repeat", shown(repeat) + " does not start at the task's `date`");
  }
};

function repetition(text) {
  const match = json.length(text) <= MAX_TEXT ? /^R([0-9]*)\/([^]*)$/.exec(text) : null;
  const parts = match === null ? [] : match[2].split("/");
  if (parts.length !== 2 || parts[0][0] === "P" || parts[1][0] !== "P") {
    throw errors.invalidTask("repeat", shown(text) + " is not like R5/2026-12-01T09:00Z/P1D: Rn/START/PERIOD");
  }
  if (match[1] && !(Number(match[1]) >= 1 && Number(match[1]) <= MAX_RUNS)) {
    const runs = " is not a number of runs from 1 to " + MAX_RUNS;
    throw errors.invalidTask("repeat", "R" + match[1].slice(0, 20) + runs);
  }
  const start = parts[0] ? checked("repeat", dates.parseInstant, parts[0]) : null;
  checked("repeat", dates.checkInterval, parts[1]);
  return start;
}

// Parse a field's text; throw what is wrong with it, with the field's name.
function checked(field, parse, text) {
  try {
    return parse(text);
  } catch (error) {
    throw error.problem === undefined ? error : errors.invalidTask(field, error.problem);
  }
}

function shown(text) {
  return json.cut(json.repr(text), 80);
}

function isGiven(value) {
  return value !== null && value !== undefined;
}
