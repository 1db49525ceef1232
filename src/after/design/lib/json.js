// Values of JSON: their types, equality and order, and how they are shown in an error.

exports.typeOf = function (value) {
  if (value === null || value === undefined) {
    return "null";
  }
  if (typeof value === "number") {
    return Number.isInteger(value) ? "integer" : "number";
  }
  return Array.isArray(value) ? "array" : typeof value;
};

exports.has = function (object, name) {
  return Object.prototype.hasOwnProperty.call(object, name);
};

exports.equal = function (one, other) {
  if (one === other) {
    return true;
  }
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) {
    return false;
  }
  if (Array.isArray(one) !== Array.isArray(other)) {
    return false;
  }
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => exports.has(other, name) && exports.equal(one[name], other[name]))
  );
};

// A copy of an object without some of its members.
exports.without = function (object, names) {
  const kept = { ...object };
  for (const name of names) {
    delete kept[name];
  }
  return kept;
};

// The number of characters, where `length` counts those outside the basic plane twice.
exports.length = function (text) {
  return text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g) || []).length;
};

// The first characters of a text, none of them cut in two.
exports.cut = function (text, count) {
  return text.length <= count ? text : Array.from(text).slice(0, count).join("");
};

// Texts in the order of their characters; JavaScript itself compares halves of those outside the basic plane.
exports.compare = function (one, other) {
  for (let at = 0; at < one.length && at < other.length; at++) {
    const left = one.charCodeAt(at);
    const right = other.charCodeAt(at);
    if (left !== right) {
      return place(left) - place(right);
    }
  }
  return one.length - other.length;
};

function place(unit) {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

exports.bytes = function (text) {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Each half of a surrogate pair counts two of the four bytes.
    bytes += unit < 0x80 ? 0 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
};

// How deep arrays and objects are nested in a text. It has to be known before the text is parsed: of a hundred thousand
// brackets the engine, and with it CouchDB's process for all functions, would die.
exports.depth = function (text) {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) {
      at = endOfString(text, at);
    } else if (unit === BRACKET || unit === BRACE) {
      depth++;
      deepest = Math.max(deepest, depth);
    } else if (unit === BRACKET + 2 || unit === BRACE + 2) {
      depth--;
    }
  }
  return deepest;
};

const QUOTE = 34;
const BRACKET = 91;
const BRACE = 123;

function endOfString(text, start) {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && isEscaped(text, end)) {
    end = text.indexOf('"', end + 1);
  }
  return end < 0 ? text.length : end;
}

function isEscaped(text, place) {
  let first = place;
  while (text[first - 1] === "\\") {
    first--;
  }
  return (place - first) % 2 === 1;
}

// Whether the numbers in a value can be written as they were read; `isLong` where some have more than 15 digits.
exports.isKept = function (value, isLong) {
  if (typeof value === "number") {
    return Number.isFinite(value) && !(isLong && Number.isInteger(value) && !Number.isSafeInteger(value));
  }
  if (typeof value !== "object" || value === null) {
    return true;
  }
  return Object.keys(value).every((name) => exports.isKept(value[name], isLong));
};

// A value as Python writes it, since the errors of both engines read the same.
exports.repr = function (value) {
  if (value === null || value === undefined) {
    return "None";
  }
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  if (typeof value === "number") {
    return String(value).replace(/e([+-])(\d)$/, "e$10$2");
  }
  if (typeof value === "string") {
    return quotedText(value);
  }
  if (Array.isArray(value)) {
    return "[" + value.map(exports.repr).join(", ") + "]";
  }
  const members = Object.keys(value).map((name) => quotedText(name) + ": " + exports.repr(value[name]));
  return "{" + members.join(", ") + "}";
};

// The same, cut where somebody sent a whole book.
exports.quoted = function (value) {
  const text = exports.repr(value);
  return text.length <= 80 || exports.length(text) <= 80 ? text : exports.cut(text, 77) + "...";
};

const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quotedText(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const shown = text.replace(/[\\\p{C}\p{Z}]/gu, (one) => (one === " " ? one : ESCAPES[one] || escaped(one)));
  return quote + (quote === "'" ? shown.replace(/'/g, "\\'") : shown) + quote;
}

function escaped(character) {
  const code = character.codePointAt(0);
  const digits = code.toString(16);
  if (code < 0x100) {
    return "\\x" + digits.padStart(2, "0");
  }
  return code < 0x10000 ? "\\u" + digits.padStart(4, "0") : "\\U" + digits.padStart(8, "0");
}
