// The task document: what is wrong with one that is wrong. The counterpart of after/task.py, whose fields it reads.

const dates = require("./dates");
const errors = require("./errors");
const json = require("./json");
const repeat = require("./repeat");
const table = require("./table");

const NOT_IN_NAMES = /[/\x00-\x1f\x7f]/;

exports.isTask = function (document) {
  const type = document.type;
  if (type !== null && type !== undefined) {
    return type === "task";
  }
  return json.has(document, "worker") && json.has(document, "job");
};

// Check every known field of a task; throw the first that is wrong.
exports.check = function (document) {
  if (json.typeOf(document) !== "object") {
    throw errors.invalidTask("task", "expected `object`, got `" + json.typeOf(document) + "`");
  }
  checkObject(document, table.fields, "");
  checkTexts(document);
  return document;
};

exports.isSound = function (document) {
  try {
    exports.check(document);
    return true;
  } catch (refusal) {
    return false;
  }
};

function checkTexts(document) {
  if (!isAbsent(document.date)) {
    exports.checked("date", dates.parseInstant, document.date);
  }
  if (!isAbsent(document.repeat)) {
    // A series that has begun counts its occurrences from elsewhere.
    const counted = !isAbsent(document.date) && isAbsent(document.occurrence);
    repeat.check(document.repeat, counted ? dates.parseInstant(document.date) : null);
  }
  for (const field of ["timeout", "expires"]) {
    if (!isAbsent(document[field])) {
      exports.checked(field, dates.parseElapsed, document[field]);
    }
  }
  checkLengths(document);
  for (const field of isAbsent(document.retry) ? [] : ["interval", "max"]) {
    if (!isAbsent(document.retry[field])) {
      exports.checked("retry." + field, dates.parseElapsed, document.retry[field]);
    }
  }
}

function checkLengths(document) {
  const length = isAbsent(document.key) ? 1 : json.length(document.key);
  if (length < 1 || length > table.maxKeyLength) {
    throw errors.invalidTask("key", "expected 1 to " + table.maxKeyLength + " characters, got " + length);
  }
  if (!isAbsent(document.after) && document.after.length > table.maxDependencies) {
    const got = document.after.length;
    throw errors.invalidTask("after", "expected at most " + table.maxDependencies + " ids, got " + got);
  }
}

// Parse a field's text to milliseconds; throw what is wrong with it, with the field's name.
exports.checked = function (field, parse, text) {
  try {
    return parse(text);
  } catch (error) {
    throw error.problem === undefined ? error : errors.invalidTask(field, error.problem);
  }
};

exports.checkId = function (identity) {
  if (typeof identity !== "string") {
    throw errors.invalidTask("_id", "expected `string`, got `" + json.typeOf(identity) + "`");
  }
  const length = json.length(identity);
  if (length < 1 || length > table.maxIdLength) {
    throw errors.invalidTask("_id", "expected 1 to " + table.maxIdLength + " characters, got " + length);
  }
  if (identity[0] === "_") {
    throw errors.invalidTask("_id", "must not start with '_'");
  }
  if (identity.includes("\0")) {
    throw errors.invalidTask("_id", "must not contain the character U+0000");
  }
  if (identity === "workers" || table.reservedIds.some((prefix) => identity.startsWith(prefix))) {
    throw errors.invalidTask("_id", json.repr(identity) + " is reserved for After's own documents");
  }
  return identity;
};

// The instant of a task; one that was written without a date is due at once.
exports.due = function (document) {
  return document.date ? dates.parseInstant(document.date) : 0;
};

function isAbsent(value) {
  return value === null || value === undefined;
}

function checkObject(value, kind, path) {
  const fields = kind.fields;
  for (const name in value) {
    const known = fields[name];
    if (known !== undefined && json.has(fields, name)) {
      if (known !== null) {
        checkValue(value[name], known, path === "" ? name : path + "." + name);
      }
    } else if (kind.closed) {
      throw errors.invalidTask(path + "." + name, "is not a known field here");
    }
  }
  for (const name of kind.required) {
    if (!json.has(value, name)) {
      throw errors.invalidTask(path === "" ? name : path + "." + name, "is required");
    }
  }
}

function checkValue(value, kind, path) {
  if (typeof value === "string" && !kind.name && !kind.values && kind.types[0] === "string") {
    return; // of most texts that is all there is to say
  }
  const type = json.typeOf(value);
  if (!kind.types.includes(type) && !(type === "integer" && kind.types.includes("number"))) {
    throw wrong(path, kind, value, "expected `" + kind.expected + "`, got `" + type + "`");
  }
  if (type === "string") {
    checkText(value, kind, path);
  } else if (type === "array" && kind.items) {
    for (let at = 0; at < value.length; at++) {
      checkValue(value[at], kind.items, path + "[" + at + "]");
    }
  } else if (type === "object" && kind.fields) {
    checkObject(value, kind, path);
  } else if (kind.range && value !== null) {
    checkRange(value, kind, path);
  }
}

function checkText(text, kind, path) {
  if (kind.values && !kind.values.includes(text)) {
    throw wrong(path, kind, text, json.repr(text) + " is not one of " + kind.values.join(", "));
  }
  if (!kind.name) {
    return;
  }
  const [least, most] = kind.length;
  if (text.length < least) {
    throw errors.invalidTask(path, "expected `string` of length >= " + least);
  }
  if (text.length > most && json.length(text) > most) {
    throw errors.invalidTask(path, "expected `string` of length <= " + most);
  }
  if (NOT_IN_NAMES.test(text)) {
    throw errors.invalidTask(path, "must not contain '/' or control characters");
  }
}

function checkRange(value, kind, path) {
  const [least, most] = kind.range;
  const type = kind.types[0];
  if (least !== null && value < least) {
    throw errors.invalidTask(path, "expected `" + type + "` >= " + decimal(least, type));
  }
  if (most !== null && value > most) {
    throw errors.invalidTask(path, "expected `" + type + "` <= " + decimal(most, type));
  }
}

function decimal(bound, type) {
  return type === "number" && Number.isInteger(bound) ? bound + ".0" : String(bound);
}

// Two fields have words of their own, whatever stands in them.
function wrong(path, kind, value, otherwise) {
  if (path === "type") {
    return errors.invalidTask(path, "expected 'task'");
  }
  if (path === "status") {
    const shown = json.cut(json.repr(value), 80);
    return errors.invalidTask(path, shown + " is not one of " + kind.values.join(", "));
  }
  return errors.invalidTask(path, otherwise);
}
