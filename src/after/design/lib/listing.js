// Lists of tasks: which are wanted, and the view that has them in order of date and id. The counterpart of
// after/server/listing.py.

const cursor = require("./cursor");
const dates = require("./dates");
const errors = require("./errors");
const json = require("./json");
const parameters = require("./parameters");
const table = require("./table");
const task = require("./task");

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
// The first instant that a date can say, and the one after the last.
const EARLIEST = -62135596800000;
const END = 253402300800000;

exports.FILTERS = ["status", "tag", "worker"];
exports.PARAMETERS = exports.FILTERS.concat(["from", "to", "limit", "cursor"]);

// Which tasks a request wants; no statuses means all of them.
exports.filter = function (given) {
  for (const name of exports.FILTERS) {
    if (given[name] === "") {
      throw errors.badRequest(name + ": must not be empty");
    }
  }
  const statuses = given.status === undefined ? [] : Array.from(new Set(given.status.split(","))).sort(json.compare);
  for (const status of statuses) {
    if (!table.statuses.includes(status)) {
      throw errors.badRequest("status: " + parameters.repr(status) + " is not one of " + table.statuses.join(", "));
    }
  }
  return { worker: given.worker, statuses: statuses, tag: given.tag };
};

// Whether a document is a task that is wanted.
exports.matches = function (wanted, document) {
  return (
    task.isTask(document) &&
    (wanted.worker === undefined || document.worker === wanted.worker) &&
    (wanted.statuses.length === 0 || wanted.statuses.includes(document.status || "waiting")) &&
    (wanted.tag === undefined || (Array.isArray(document.tags) && document.tags.includes(wanted.tag)))
  );
};

// How many elements a page may have.
exports.limit = function (given) {
  return parameters.number(given, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT);
};

// The view that has the tasks which a request wants, and the query to it. What the list function has to know besides
// stands in the query as `page`, which CouchDB hands on.
exports.wanted = function (given) {
  const filter = exports.filter(given);
  const page = { filter: filter, limit: exports.limit(given) };
  const low = given.from === undefined ? EARLIEST : task.checked("from", dates.parseInstant, given.from);
  const high = given.to === undefined ? END : task.checked("to", dates.parseInstant, given.to);
  if (given.cursor !== undefined) {
    page.last = cursor.read(given.cursor, ["number", "string"]);
  }
  const along = view(filter);
  return { view: along.name, query: Object.assign(range(along.prefix, low, high, page.last), rest(page)) };
};

// The view that has the fewest tasks beside those that are wanted, and what its keys begin with.
function view(filter) {
  const status = filter.statuses.length === 1 ? filter.statuses : [];
  if (filter.tag !== undefined) {
    return { name: "by_tag", prefix: [filter.tag] };
  }
  if (filter.worker !== undefined) {
    return { name: status.length ? "by_worker" : "by_worker_date", prefix: [filter.worker].concat(status) };
  }
  return { name: status.length ? "by_status" : "by_date", prefix: status };
}

// From an instant, or the last row of the page before, to before another instant.
function range(prefix, low, high, last) {
  const goesOn = last !== undefined && last[0] >= low;
  const first = goesOn ? last[0] : low;
  const query = {
    // CouchDB refuses a range that ends before it starts. One that ends where it starts, without its end, is empty.
    startkey: JSON.stringify(prefix.concat([Math.min(first, high)])),
    endkey: JSON.stringify(prefix.concat([high])),
    inclusive_end: "false",
  };
  return goesOn && first < high ? Object.assign(query, { startkey_docid: last[1] }) : query;
}

function rest(page) {
  return { include_docs: "true", reduce: "false", page: JSON.stringify(page) };
}
