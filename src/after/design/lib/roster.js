// What is told of a worker: its processes, whether it is paused, its tasks. The counterpart of after/roster.py.

const dates = require("./dates");
const json = require("./json");

// Milliseconds without a heartbeat after which a worker process no longer counts as running.
const SILENT = 15000;
const ALIVE = ["running", "paused", "draining"];

// All workers, by name, from the counted rows of the view `roster`, whose keys are [name, "control", {paused, note}],
// [name, "instance", {…}] and [name, "task", status].
exports.roster = function (rows, now) {
  const workers = new Map();
  for (const row of rows) {
    const [name, kind, what] = row.key;
    if (!workers.has(name)) {
      workers.set(name, { control: {}, instances: [], tasks: {} });
    }
    const worker = workers.get(name);
    if (kind === "control") {
      worker.control = what;
    } else if (kind === "instance") {
      worker.instances.push(what);
    } else {
      worker.tasks[what] = row.value;
    }
  }
  const names = Array.from(workers.keys()).sort(json.compare);
  return names.map((name) => told(name, workers.get(name), now));
};

function told(name, worker, now) {
  const instances = worker.instances.sort((one, other) => json.compare(String(one.instance), String(other.instance)));
  const alive = instances.filter((one) => isAlive(one, now));
  const jobs = new Set([].concat(...alive.map(jobsOf)));
  const note = worker.control.note;
  return {
    name: name,
    state: state(worker.control, instances, alive),
    paused: Boolean(worker.control.paused),
    note: typeof note === "string" ? note : null,
    jobs: Array.from(jobs).sort(json.compare),
    instances: instances.map((one) => Object.assign({}, one, { state: alive.includes(one) ? one.state : ended(one) })),
    tasks: worker.tasks,
  };
}

function state(control, instances, alive) {
  if (alive.length) {
    return control.paused ? "paused" : alive[0].state;
  }
  return instances.length && instances.every((one) => one.state === "stopped") ? "stopped" : "down";
}

function ended(instance) {
  return instance.state === "stopped" ? "stopped" : "lost";
}

// Whether a process has been heard of lately, as far as the clock of this machine can tell.
function isAlive(instance, now) {
  try {
    return ALIVE.includes(instance.state) && now - dates.parseInstant(instance.heartbeat) <= SILENT;
  } catch (error) {
    return false;
  }
}

function jobsOf(instance) {
  return Array.isArray(instance.jobs) ? instance.jobs.filter((job) => typeof job === "string") : [];
}
