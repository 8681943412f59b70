// A producer or a worker of npm's `faktory-worker`.
//
//     faktory_client.js push URL KIND QUEUE N RETRY
//     faktory_client.js work URL QUEUE
//     faktory_client.js mutate URL COMMAND TARGET
//     faktory_client.js info URL
//
// As faktory_client.py, in what it prints and what its kinds of jobs do.
'use strict';
const { setTimeout: pause } = require('timers/promises');
const faktory = require('faktory-worker');

const say = (...words) => console.log(words.join(' '));

async function push(url, kind, queue, count, retry) {
  const client = await faktory.connect({ url });
  const jobs = Array.from({ length: Number(count) }, (_, number) => {
    const job = client.job(kind, number, 'two');
    job.queue = queue;
    job.retry = Number(retry);
    return job;
  });
  const half = Math.floor(jobs.length / 2);
  for (const job of jobs.slice(0, half)) await job.push();
  const refused = await client.pushBulk(jobs.slice(half));
  if (Object.keys(refused).length) throw new Error(JSON.stringify(refused));
  await client.close();
}

async function work(url, queue) {
  const ran = (kind) => (...args) => say('ran', kind, JSON.stringify(args));
  faktory.register('Done', async (...args) => ran('Done')(...args));
  faktory.register('Fails', async (...args) => {
    ran('Fails')(...args);
    throw new Error('it fails as it should');
  });
  faktory.register('Slow', async (...args) => {
    ran('Slow')(...args);
    await pause(2000);
  });
  const worker = await faktory.work({ url, queues: [queue], concurrency: 2, beatInterval: 1, timeout: 10 });
  worker.on('error', (error) => say('error', error.message));
  say('ready');
}

async function mutate(url, command, target) {
  const client = await faktory.connect({ url });
  const done = await client[target][command]();
  if (done !== 'OK') throw new Error(done);
  await client.close();
}

async function info(url) {
  const client = await faktory.connect({ url });
  say(JSON.stringify(await client.info()));
  await client.close();
}

const [action, ...rest] = process.argv.slice(2);
({ push, work, mutate, info })[action](...rest)
  .then(() => { if (action !== 'work') say('end'); })
  .catch((error) => { console.error(error); process.exit(1); });
