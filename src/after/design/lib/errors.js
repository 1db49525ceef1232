// Refusals, as they are thrown: what an HTTP answer needs to know of them. The counterpart of after/errors.py.

function refusal(code, error) {
  return function (reason) {
    return { code: code, error: error, reason: reason };
  };
}

exports.badRequest = refusal(400, "bad_request");
exports.forbidden = refusal(403, "forbidden");
exports.notFound = refusal(404, "not_found");
exports.conflict = refusal(409, "conflict");
exports.tooLarge = refusal(413, "too_large");
exports.wrongContentType = refusal(415, "bad_content_type");

// The field of a task that is wrong, and what is wrong with it.
exports.invalidTask = function (field, problem) {
  return exports.badRequest(field + ": " + problem);
};
