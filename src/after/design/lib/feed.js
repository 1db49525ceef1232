// The feed of tasks: what CouchDB's own feed has to be told of a request. The counterpart of after/server/feed.py.

const errors = require("./errors");
const listing = require("./listing");
const parameters = require("./parameters");

const DAY = 24 * 60 * 60 * 1000;
const FEEDS = ["normal", "longpoll", "continuous", "live", "eventsource"];
const FLAGS = ["include_docs", "conflicts", "descending"];
const OTHERS = ["feed", "since", "last-event-id", "limit", "style", "heartbeat", "timeout"];

exports.PARAMETERS = OTHERS.concat(FLAGS, listing.FILTERS);

// The query for `_changes`; throws for a parameter that is wrong, which CouchDB would overlook or answer with 500.
exports.query = function (given) {
  const query = {
    filter: "after/tasks",
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
  listing.filter(given);
  return Object.assign(query, patience(given), only(given, listing.FILTERS));
};

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
  const wanted = only(given, ["heartbeat", "timeout"].filter((name) => given[name] !== undefined));
  if (wanted.heartbeat === "false") {
    delete wanted.heartbeat;
  }
  for (const name of Object.keys(wanted)) {
    if (name === "timeout" || wanted[name] !== "true") {
      wanted[name] = String(Math.min(parameters.number(given, name, DAY, name === "timeout" ? 0 : 1), DAY));
    }
  }
  return wanted;
}

function only(given, names) {
  const kept = {};
  for (const name of names) {
    if (given[name] !== undefined) {
      kept[name] = given[name];
    }
  }
  return kept;
}
