// nano, Apache CouchDB's own client for Node, against the embedded server.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import nano from 'nano'

const url = new URL(process.env.AFTER_URL)
const server = nano(url.origin)
const db = server.use('after')
const task = (id, more) => ({ _id: id, worker: 'nano', job: 'flaky', date: '2026-12-01T09:00:00Z', ...more })
const refusedWith = status => error => error.statusCode === status

test('the server', async () => {
  assert.equal((await server.info()).couchdb, 'Welcome')
  assert.deepEqual(await server.db.list(), ['after'])
  assert.equal((await server.db.get('after')).db_name, 'after')
  assert.equal((await db.info()).db_name, 'after')
  assert.equal((await server.uuids(3)).uuids.length, 3)
  assert.equal((await server.session()).ok, true)
  assert.equal((await server.relax({ path: '_up' })).status, 'ok')
  await assert.rejects(server.db.create('after'), refusedWith(412))
})

test('insert, get, head and destroy', async () => {
  const { rev } = await db.insert(task('n1'))
  const stored = await db.get('n1', { revs: true, revs_info: true })
  assert.deepEqual([stored._rev, stored._revisions.start, stored._revs_info.length], [rev, 1, 1])
  const head = await db.head('n1')
  assert.equal(head.etag, `"${rev}"`)
  await assert.rejects(db.insert(task('n1')), refusedWith(409))
  const changed = await db.insert({ ...task('n1'), _rev: rev, status: 'schedule' })
  assert.match(changed.rev, /^2-/)
  const made = await db.insert({ x: 1 })
  assert.equal((await db.get(made.id)).x, 1)
  const named = await db.insert({ x: 2 }, 'n2')
  assert.equal(named.id, 'n2')
  assert.equal((await db.destroy('n1', changed.rev)).ok, true)
  await assert.rejects(db.get('n1'), refusedWith(404))
  await assert.rejects(db.insert(task('n3', { date: 'soon' })), refusedWith(403))
})

test('bulk, list, fetch and fetchRevs', async () => {
  const answers = await db.bulk({ docs: [task('b1'), task('b2', { date: 'soon' }), { _id: 'b3' }] })
  assert.deepEqual(answers.map(answer => answer.error || 'ok'), ['ok', 'forbidden', 'ok'])
  const listed = await db.list({ startkey: 'b', endkey: 'b\uffff', include_docs: true })
  assert.deepEqual(listed.rows.map(row => row.doc._id), ['b1', 'b3'])
  const fetched = await db.fetch({ keys: ['b1', 'nothing'] })
  assert.deepEqual(fetched.rows.map(row => row.doc ? row.doc.worker : row.error), ['nano', 'not_found'])
  const revs = await db.fetchRevs({ keys: ['b1'] })
  assert.equal(revs.rows[0].value.rev, answers[0].rev)
})

test('bulk with new_edits false makes a conflict, and destroy solves it', async () => {
  await db.insert({ _id: 'x1', n: 1 })
  const loser = '1-00'
  assert.deepEqual(await db.bulk({ new_edits: false, docs: [{ _id: 'x1', _rev: loser, n: 2 }] }), [])
  const stored = await db.get('x1', { conflicts: true })
  assert.deepEqual([stored.n, stored._conflicts], [1, [loser]])
  const all = await db.get('x1', { open_revs: 'all' })
  assert.deepEqual(all.map(row => row.ok.n), [1, 2])
  assert.equal((await db.get('x1', { rev: loser })).n, 2)
  await db.destroy('x1', loser)
  assert.equal((await db.get('x1', { conflicts: true }))._conflicts, undefined)
})

test('views and find', async () => {
  await db.bulk({ docs: [task('v1', { worker: 'viewed' }), task('v2', { worker: 'viewed', status: 'done' })] })
  const due = await db.view('after', 'due', { startkey: ['viewed'], endkey: ['viewed', {}], include_docs: true })
  assert.deepEqual(due.rows.map(row => row.doc._id), ['v1'])
  const keys = await db.view('after', 'by_worker', { keys: [['viewed', 'done', 1796115600000]], reduce: false })
  assert.deepEqual(keys.rows.map(row => row.id), ['v2'])
  const found = await db.find({ selector: { worker: 'viewed', status: 'done' }, fields: ['_id'] })
  assert.deepEqual(found.docs, [{ _id: 'v2' }])
})

test('local documents', async () => {
  await db.insert({ seq: 1 }, '_local/mine')
  const stored = await db.get('_local/mine')
  assert.equal(stored.seq, 1)
  await db.destroy('_local/mine', stored._rev)
  await assert.rejects(db.get('_local/mine'), refusedWith(404))
})

test('changes', async () => {
  const since = (await db.info()).update_seq
  await db.bulk({ docs: [{ _id: 'c1', kind: 'a' }, { _id: 'c2', kind: 'b' }] })
  const told = await db.changes({ since, include_docs: true, style: 'all_docs' })
  assert.deepEqual(told.results.map(change => change.doc.kind), ['a', 'b'])
  const polled = await db.changes({ since, feed: 'longpoll', timeout: 1000, limit: 1 })
  assert.equal(polled.results[0].id, 'c1')
  const requests = await db.changes({ since, filter: 'after/requests', worker: 'nano' })
  assert.deepEqual(requests.results, [])
})

test('changesReader gets what there is', async () => {
  const since = (await db.info()).update_seq
  await db.bulk({ docs: [{ _id: 'r1', kind: 'a' }, { _id: 'r2', kind: 'b' }, { _id: 'r3', kind: 'a' }] })
  const reader = db.changesReader.get({ since, includeDocs: true, selector: { kind: 'a' }, timeout: 500 })
  const found = []
  await new Promise((resolve, reject) => reader.on('change', change => found.push(change.doc._id)).on('end', resolve).on('error', reject))
  assert.deepEqual(found, ['r1', 'r3'])
})

test('changesReader goes on', async () => {
  const reader = db.changesReader.start({ since: 'now', includeDocs: true, timeout: 2000, wait: false })
  const heard = new Promise((resolve, reject) => {
    const found = []
    reader.on('change', change => { if (found.push(change.id) === 2) resolve(found) }).on('error', reject)
  })
  await new Promise(resolve => setTimeout(resolve, 500))
  await db.insert({ _id: 's1' })
  await db.insert({ _id: 's2' })
  assert.deepEqual(await heard, ['s1', 's2'])
  db.changesReader.stop()
})

test('changesReader spools', async () => {
  const reader = db.changesReader.spool({ since: 0, batchSize: 3 })
  const batches = []
  await new Promise((resolve, reject) => reader.on('batch', batch => batches.push(batch.length)).on('end', resolve).on('error', reject))
  const { doc_count: count, doc_del_count: deleted } = await db.info()
  assert.equal(batches.reduce((sum, size) => sum + size, 0), count + deleted)
})
