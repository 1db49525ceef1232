// Reading what was sent to an update function, and answering it. The counterpart of after/server/http.py.

const errors = require("./errors");
const json = require("./json");

const MAX_DOCUMENT = 1024 * 1024;
const MAX_DEPTH = 64;
const LONG_NUMBER = /[0-9]{16}/;
const CURL_HINT =
  "the body needs the header Content-Type: application/json; with curl: -H 'Content-Type: application/json'";
const NAMES = { array: "an array", string: "a string", boolean: "a boolean", integer: "a number", number: "a number" };

// A header, whichever way its name was written; null where it was not sent.
exports.header = function (req, wanted) {
  for (const name of Object.keys(req.headers)) {
    if (name.toLowerCase() === wanted) {
      return req.headers[name];
    }
  }
  return null;
};

// The revision that the header If-Match names (RFC 9110, 13.1.1), null where there is none.
exports.revision = function (req) {
  const header = exports.header(req, "if-match");
  return header === null ? null : header.trim().replace(/^W\//, "").replace(/^"+|"+$/g, "");
};

// The JSON object in the body; throw what is wrong with it.
exports.document = function (req) {
  const kind = exports.header(req, "content-type") || "";
  if (kind.split(";")[0].trim().toLowerCase() !== "application/json") {
    throw errors.wrongContentType(CURL_HINT);
  }
  if (req.body.length * 3 > MAX_DOCUMENT && json.bytes(req.body) > MAX_DOCUMENT) {
    throw errors.tooLarge("the document is over " + MAX_DOCUMENT + " bytes");
  }
  if (json.depth(req.body) > MAX_DEPTH) {
    throw errors.badRequest("the document is nested deeper than " + MAX_DEPTH + " levels");
  }
  const value = parsed(req.body);
  if (!json.isKept(value, LONG_NUMBER.test(req.body))) {
    throw errors.badRequest("the body: a number in it is too large to be kept; send it as a string");
  }
  const type = json.typeOf(value);
  if (type !== "object") {
    throw errors.badRequest("the body: expected a JSON object, got " + (NAMES[type] || "null"));
  }
  return value;
};

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw errors.badRequest("the body is not JSON: " + error.message);
  }
}

// An answer as an update function returns it. Without a code it is CouchDB's own: 201, or 202 where not enough of a
// cluster's nodes have taken the document yet.
exports.answer = function (code, value, headers) {
  const answer = { headers: { "Content-Type": "application/json", ...headers } };
  answer.body = JSON.stringify(value) + "\n";
  if (code !== null) {
    answer.code = code;
  }
  return answer;
};

// The answer to what was thrown. What is no refusal is a defect of ours, and thrown on.
exports.refused = function (thrown) {
  if (!thrown || thrown.reason === undefined) {
    throw thrown;
  }
  return exports.answer(thrown.code, { error: thrown.error, reason: thrown.reason });
};
