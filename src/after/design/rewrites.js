function (req) {
  try {
    return require("lib/routes").route(req);
  } catch (thrown) {
    return require("lib/request").refused(thrown);
  }
}
