function (req) {
  return { code: 404, headers: { "Content-Type": "application/json" }, body: '{"error":"not_found","reason":"no such path"}\n' };
}
