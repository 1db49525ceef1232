// PouchDB against the embedded server, as a remote database and as the other side of a replication.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import http from 'pouchdb-adapter-http'
import memory from 'pouchdb-adapter-memory'
import PouchDB from 'pouchdb-core'
import find from 'pouchdb-find'
import mapreduce from 'pouchdb-mapreduce'
import replication from 'pouchdb-replication'

PouchDB.plugin(http).plugin(memory).plugin(mapreduce).plugin(replication).plugin(find)

const db = new PouchDB(process.env.AFTER_URL)
const task = (id, more) => ({ _id: id, worker: 'pouch', job: 'flaky', date: '2026-12-01T09:00:00Z', ...more })
const refusedWith = status => error => error.status === status
let databases = 0

after(() => db.close())

// A local database that goes with the test.
async function local (t) {
  const made = new PouchDB(`local-${databases++}`, { adapter: 'memory' })
  t.after(() => made.destroy())
  return made
}

test('info', async () => {
  const info = await db.info()
  assert.equal(info.db_name, 'after')
  assert.equal(typeof info.doc_count, 'number')
})

test('put, get, post and remove', async () => {
  const { rev } = await db.put(task('p1'))
  const stored = await db.get('p1')
  assert.deepEqual([stored._rev, stored.worker], [rev, 'pouch'])
  await assert.rejects(db.put(task('p1')), refusedWith(409))
  const posted = await db.post({ x: 1 })
  assert.equal((await db.get(posted.id)).x, 1)
  const removed = await db.remove(stored)
  assert.match(removed.rev, /^2-/)
  await assert.rejects(db.get('p1'), refusedWith(404))
  await assert.rejects(db.put({ ...task('p2'), date: '2026-13-01' }), refusedWith(403))
})

test('get with revs, a rev, open_revs, conflicts and latest', async () => {
  const one = await db.put({ _id: 'g1', x: 1 })
  const two = await db.put({ _id: 'g1', _rev: one.rev, x: 2 })
  const other = `2-${'0'.repeat(32)}`
  await db.bulkDocs([{ _id: 'g1', _revisions: { start: 2, ids: ['0'.repeat(32), one.rev.slice(2)] }, x: 3 }], { new_edits: false })
  const told = await db.get('g1', { revs: true, conflicts: true })
  assert.deepEqual(told._revisions.ids, [two.rev.slice(2), one.rev.slice(2)])
  assert.deepEqual(told._conflicts, [other])
  assert.equal((await db.get('g1', { rev: other })).x, 3)
  const all = await db.get('g1', { open_revs: 'all' })
  assert.deepEqual(all.map(row => row.ok.x), [2, 3])
  const named = await db.get('g1', { open_revs: [other, '9-abc'] })
  assert.deepEqual(named.map(row => row.ok ? row.ok.x : row.missing), [3, '9-abc'])
  const latest = await db.get('g1', { rev: one.rev, latest: true })
  assert.equal(latest.x, 2)
  await db.remove('g1', other)
  assert.equal((await db.get('g1', { conflicts: true }))._conflicts, undefined)
})

test('bulkDocs, allDocs and bulkGet', async () => {
  const answers = await db.bulkDocs([task('b1'), task('b2', { date: 'soon' }), { _id: 'b3', x: 1 }])
  assert.deepEqual(answers.map(answer => answer.error || 'ok'), ['ok', 'forbidden', 'ok'])
  const listed = await db.allDocs({ startkey: 'b', endkey: 'b\uffff', include_docs: true })
  assert.deepEqual(listed.rows.map(row => row.doc._id), ['b1', 'b3'])
  const named = await db.allDocs({ keys: ['b3', 'nothing'] })
  assert.deepEqual(named.rows.map(row => row.error), [undefined, 'not_found'])
  const got = await db.bulkGet({ docs: [{ id: 'b3', rev: answers[2].rev }, { id: 'nothing' }], revs: true })
  assert.deepEqual(got.results[0].docs[0].ok._revisions.start, 1)
  assert.equal(got.results[1].docs[0].error.error, 'not_found')
})

test('revsDiff', async () => {
  const { rev } = await db.put({ _id: 'd1' })
  const told = await db.revsDiff({ d1: [rev, '2-abc'], d2: ['1-abc'] })
  assert.deepEqual(told, { d1: { missing: ['2-abc'], possible_ancestors: [rev] }, d2: { missing: ['1-abc'] } })
})

test('query of the views', async () => {
  await db.bulkDocs([task('v1', { worker: 'viewed' }), task('v2', { worker: 'viewed', status: 'done' })])
  const due = await db.query('after/due', { startkey: ['viewed'], endkey: ['viewed', {}], include_docs: true })
  assert.deepEqual(due.rows.map(row => [row.key, row.doc._id]), [[['viewed', 1796115600000], 'v1']])
  const counted = await db.query('after/by_worker', { group_level: 2, startkey: ['viewed'], endkey: ['viewed', {}] })
  assert.deepEqual(counted.rows, [
    { key: ['viewed', 'done'], value: 1 },
    { key: ['viewed', 'waiting'], value: 1 }
  ])
  const keys = await db.query('after/by_status', { keys: [['done', 1796115600000]], limit: 1 })
  assert.equal(keys.rows.length, 1)
})

test('find', async () => {
  await db.bulkDocs([task('f1', { worker: 'found', tags: ['x'] }), task('f2', { worker: 'found' })])
  const found = await db.find({ selector: { worker: 'found', tags: { $elemMatch: { $eq: 'x' } } }, fields: ['_id'] })
  assert.deepEqual(found.docs, [{ _id: 'f1' }])
})

test('local documents', async () => {
  await db.put({ _id: '_local/mine', seq: 1 })
  const stored = await db.get('_local/mine')
  assert.equal(stored.seq, 1)
  await db.put({ ...stored, seq: 2 })
  assert.equal((await db.get('_local/mine')).seq, 2)
  await db.remove(await db.get('_local/mine'))
  await assert.rejects(db.get('_local/mine'), refusedWith(404))
})

test('changes since, in pages, backwards, of some ids, and with a selector', async () => {
  const since = (await db.info()).update_seq
  await db.bulkDocs([{ _id: 'c1', kind: 'a' }, { _id: 'c2', kind: 'b' }, { _id: 'c3', kind: 'a' }])
  const ids = async options => (await db.changes({ since, ...options })).results.map(change => change.id)
  assert.deepEqual(await ids({}), ['c1', 'c2', 'c3'])
  assert.deepEqual(await ids({ limit: 2 }), ['c1', 'c2'])
  assert.deepEqual(await ids({ batch_size: 1, return_docs: true }), ['c1', 'c2', 'c3'])
  assert.deepEqual((await ids({ since: 0, descending: true, limit: 2 })), ['c3', 'c2'])
  assert.deepEqual(await ids({ doc_ids: ['c3', 'nothing'] }), ['c3'])
  assert.deepEqual(await ids({ selector: { kind: 'a' } }), ['c1', 'c3'])
})

test('live changes, as they come', async () => {
  const feed = db.changes({ since: 'now', live: true, include_docs: true, heartbeat: 1000, timeout: 5000, filter: 'after/requests', query_params: { worker: 'live' } })
  const heard = new Promise((resolve, reject) => {
    const found = []
    feed.on('change', change => { if (found.push(change.doc.n) === 2) resolve(found) })
    feed.on('error', reject)
  })
  await new Promise(resolve => setTimeout(resolve, 300))
  await db.put(task('l1', { worker: 'live', n: 1 }))
  await db.put(task('l2', { worker: 'another', n: 9 }))
  await db.put(task('l3', { worker: 'live', n: 2 }))
  assert.deepEqual(await heard, [1, 2])
  feed.cancel()
})

test('replicates from the server', async t => {
  const here = await local(t)
  const docs = Array.from({ length: 150 }, (_, n) => task(`from-${n}`, { worker: 'from', n }))
  await db.bulkDocs(docs)
  await db.remove(await db.get('from-149'))
  const selector = { _id: { $regex: '^from-' } }
  const done = await here.replicate.from(db, { selector, batch_size: 40 })
  assert.deepEqual([done.ok, done.doc_write_failures, done.docs_written], [true, 0, 150])
  assert.equal((await here.info()).doc_count, 149)
  assert.deepEqual(await here.get('from-3'), await db.get('from-3'))
  const again = await here.replicate.from(db, { selector })
  assert.equal(again.docs_written, 0)
})

test('replicates all there is, and a deletion after it', async t => {
  const here = await local(t)
  await db.put({ _id: 'all-1' })
  assert.equal((await here.replicate.from(db)).doc_write_failures, 0)
  assert.equal((await here.info()).doc_count, (await db.info()).doc_count)
  await db.remove(await db.get('all-1'))
  await here.replicate.from(db)
  await assert.rejects(here.get('all-1'), refusedWith(404))
})

test('replicates to the server', async t => {
  const here = await local(t)
  await here.bulkDocs([task('to-1', { status: 'done', n: 1 }), task('to-2', { date: 'soon' }), { _id: 'to-3' }])
  await here.remove(await here.get('to-3'))
  const refused = []
  const done = await here.replicate.to(db).on('denied', row => refused.push(row.id))
  assert.deepEqual([done.ok, done.docs_written, refused], [true, 2, ['to-2']])
  assert.deepEqual(await db.get('to-1', { revs: true }), await here.get('to-1', { revs: true }))
  const tombstone = await db.get('to-3', { open_revs: 'all' })
  assert.equal(tombstone[0].ok._deleted, true)
  await here.put({ ...(await here.get('to-1')), status: 'schedule', n: 2 })
  await here.replicate.to(db)
  assert.equal((await db.get('to-1')).n, 2)
})

test('a conflict is the same on both sides', async t => {
  const here = await local(t)
  const id = 'conflicting'
  await db.put({ _id: id, n: 0 })
  await here.replicate.from(db, { doc_ids: [id] })
  const { _rev } = await here.get(id)
  await here.put({ _id: id, _rev, n: 'here' })
  await db.put({ _id: id, _rev, n: 'there' })
  const sync = async () => {
    await here.replicate.to(db)
    await here.replicate.from(db, { doc_ids: [id] })
  }
  await sync()
  const [ours, theirs] = await Promise.all([here.get(id, { conflicts: true }), db.get(id, { conflicts: true })])
  assert.deepEqual(theirs, ours)
  assert.equal(theirs._conflicts.length, 1)
  const rows = (await db.query('after/conflicts')).rows.map(row => row.id)
  assert.ok(rows.includes(id))
  await db.remove(id, theirs._conflicts[0])
  await sync()
  assert.equal((await here.get(id, { conflicts: true }))._conflicts, undefined)
  assert.deepEqual(await here.get(id), await db.get(id))
})

test('live replication', async t => {
  const here = await local(t)
  const running = here.replicate.from(db, { live: true, retry: true, since: 'now', selector: { live: true } })
  const heard = new Promise((resolve, reject) => running.on('change', resolve).on('error', reject))
  await new Promise(resolve => setTimeout(resolve, 500))
  await db.put({ _id: 'live-1', live: true })
  await heard
  assert.equal((await here.get('live-1')).live, true)
  running.cancel()
  await running.catch(() => {})
})
