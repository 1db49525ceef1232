// What Prometheus collects, in its text format 0.0.4: the metrics of after/server/metrics.py, in the same order.

const json = require("./json");

// The text about workers, as `lib/roster` tells them.
exports.text = function (workers) {
  const instances = [].concat(...workers.map((worker) => worker.instances.map((one) => [worker.name, one])));
  const ofInstance = (field) => instances.map(([name, one]) => [{ worker: name, instance: one.instance }, one[field]]);
  return [
    metric("after_tasks", "gauge", "Tasks, by worker and status.",
      counts("status", workers.map((worker) => [{ worker: worker.name }, worker.tasks]))),
    metric("after_instances", "gauge", "Worker processes, by worker and state.",
      counts("state", workers.map((worker) => [{ worker: worker.name }, states(worker)]))),
    metric("after_worker_paused", "gauge", "1 where a worker is paused, else 0.",
      workers.map((worker) => [{ worker: worker.name }, worker.paused ? 1 : 0])),
    metric("after_instance_running", "gauge", "Jobs that a worker process runs.", ofInstance("running")),
    metric("after_instance_held", "gauge", "Tasks that a worker process holds for their dates.", ofInstance("held")),
    metric("after_tasks_ended_total", "counter", "Tasks that a worker process has brought to a status.",
      counts("status", ofInstance("counters"))),
  ].join("");
};

function states(worker) {
  const found = {};
  for (const one of worker.instances) {
    found[one.state] = (found[one.state] || 0) + 1;
  }
  return found;
}

// A sample for each member of an object of numbers, whose name becomes a label.
function counts(label, counted) {
  return [].concat(...counted.map(([labels, numbers]) =>
    Object.keys(numbers || {}).sort(json.compare).map((name) => [
      Object.assign({ [label]: name }, labels),
      numbers[name],
    ])
  ));
}

function metric(name, type, help, samples) {
  // Anyone who may write documents may write such ones, too, whose numbers are none.
  const lines = samples.filter((sample) => typeof sample[1] === "number").map(([labels, value]) => {
    const told = Object.keys(labels).sort().map((label) => label + '="' + escaped(labels[label]) + '"');
    return name + "{" + told.join(",") + "} " + value + "\n";
  });
  return "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + lines.join("");
}

function escaped(value) {
  return String(value).replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}
