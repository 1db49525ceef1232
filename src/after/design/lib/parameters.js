// The parameters of a request, and what may be wrong with them. The counterpart of part of after/server/http.py.

const errors = require("./errors");
const json = require("./json");

const MOST = Math.pow(2, 53);

// The parameters of a query such as "a=1&b=x%20y"; throws for one that is unknown or given twice.
exports.read = function (query, known) {
  const given = {};
  for (const pair of query.split("&").filter(Boolean)) {
    const [name, value] = pair.split(/=([^]*)/).map(decoded);
    if (!known.includes(name)) {
      const names = known.slice().sort().join(", ") || "none";
      throw errors.badRequest(json.cut(name, 80) + ": is not a parameter of this request; known: " + names);
    }
    if (json.has(given, name)) {
      throw errors.badRequest(name + ": is given twice");
    }
    given[name] = value || "";
  }
  return given;
};

// Decode a part of a query. What is no UTF-8 becomes U+FFFD, and a percent sign that begins nothing stays one.
function decoded(text) {
  return text.replace(/\+/g, " ").replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes);
    } catch (error) {
      return "\ufffd";
    }
  });
}

// A whole number from the query, within bounds.
exports.number = function (given, name, usual, low, high) {
  const text = given[name];
  if (text === undefined) {
    return usual;
  }
  const value = /^[0-9]{1,20}$/.test(text) ? Number(text) : -1;
  if (value < low || value > (high || MOST)) {
    const expected = "a whole number from " + low + " to " + (high || MOST);
    throw exports.unexpected(name, expected, text);
  }
  return value;
};

// A yes or no from the query.
exports.flag = function (given, name) {
  const text = given[name];
  if (text !== undefined && text !== "true" && text !== "false") {
    throw exports.unexpected(name, "true or false", text);
  }
  return text === "true";
};

// One of a few words from the query, the first of them where none is given.
exports.oneOf = function (given, name, known) {
  const text = given[name] === undefined ? known[0] : given[name];
  if (!known.includes(text)) {
    throw exports.unexpected(name, "one of " + known.join(", "), text);
  }
  return text;
};

// The refusal of a parameter that is not what it should be.
exports.unexpected = function (name, expected, text) {
  return errors.badRequest(name + ": expected " + expected + ", got " + exports.repr(text));
};

// A text as an error shows it: its first 80 characters.
exports.repr = function (text) {
  return json.cut(json.repr(text), 80);
};
