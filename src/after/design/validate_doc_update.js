function (newDoc, oldDoc, userCtx, secObj) {
}
