// The feed of tasks: what CouchDB's own feed has to be told of a request. The counterpart of after/server/feed.py.
// A selector wants the tasks, not a filter function, for which CouchDB needs fifty times as long.

const errors = require("./errors");
const json = require("./json");
const listing = require("./listing");
const parameters = require("./parameters");

const DAY = 24 * 60 * 60 * 1000;
const FEEDS = ["normal", "longpoll", "continuous", "live", "eventsource"];
const FLAGS = ["include_docs", "conflicts", "descending"];
const OTHERS = ["feed", "since", "last-event-id", "limit", "style", "heartbeat", "timeout"];

exports.PARAMETERS = OTHERS.concat(FLAGS, listing.FILTERS);

// The request to `_changes`; throws for a parameter that is wrong, which CouchDB would overlook or answer with 500.
exports.request = function (given) {
  const query = options(given);
  const body = JSON.stringify({ selector: selector(listing.filter(given)) });
  const headers = { "Content-Type": "application/json", "Content-Length": String(json.bytes(body)) };
  return { path: "../../_changes", query: query, method: "POST", headers: headers, body: body };
};

function options(given) {
  const query = {
    filter: "_selector",
    feed: parameters.oneOf(given, "feed", FEEDS),
    since: since(given),
    style: parameters.oneOf(given, "style", ["main_only", "all_docs"]),
  };
  for (const name of FLAGS) {
    if (parameters.flag(given, name)) {
      query[name] = "true";
    }
  }
  if (query.descending && query.feed !== "normal") {
    throw errors.badRequest("descending: goes with feed=normal only");
  }
  if (given.limit !== undefined) {
    query.limit = String(parameters.number(given, "limit", 1, 0));
  }
  return Object.assign(query, patience(given));
}

// What `listing.matches` tells, as a selector.
function selector(wanted) {
  const untyped = [{ type: { $exists: false } }, { type: null }];
  const raw = [{ $or: untyped }, { worker: { $exists: true } }, { job: { $exists: true } }];
  const parts = [{ $or: [{ type: "task" }, { $and: raw }] }];
  if (wanted.worker !== undefined) {
    parts.push({ worker: wanted.worker });
  }
  if (wanted.statuses.length && !wanted.statuses.includes("waiting")) {
    parts.push({ status: { $in: wanted.statuses } });
  } else if (wanted.statuses.length) {
    parts.push({ $or: [{ status: { $in: wanted.statuses.concat([null, ""]) } }, { status: { $exists: false } }] });
  }
  if (wanted.tag !== undefined) {
    parts.push({ tags: { $elemMatch: { $eq: wanted.tag } } });
  }
  return { $and: parts };
}

// A position in the feed is a number, and text behind it that only CouchDB reads.
function since(given) {
  const name = given["last-event-id"] === undefined ? "since" : "last-event-id";
  const text = given[name] === undefined ? "0" : given[name];
  const seq = text.replace(/^"+|"+$/g, "");
  if (seq !== "now" && !/^[0-9]{1,20}(-[\w-]+)?$/.test(seq)) {
    throw parameters.unexpected("since", "a seq of this database, 0 or now", text);
  }
  return seq;
}

function patience(given) {
  const wanted = {};
  for (const name of ["heartbeat", "timeout"]) {
    const isWord = name === "heartbeat" && ["true", "false"].includes(given[name]);
    if (given[name] !== undefined && !isWord) {
      wanted[name] = String(Math.min(parameters.number(given, name, DAY, name === "heartbeat" ? 1 : 0), DAY));
    }
  }
  return given.heartbeat === "true" ? Object.assign(wanted, { heartbeat: "true" }) : wanted;
}
