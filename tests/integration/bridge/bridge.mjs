// Does with out_data what the Node bridge does: parse the value as JSON and pass on the raw text as an event named by the
// tag's id. Each event is printed as a line of JSON. Ends after COUNT events (exit code 0) or after SECONDS (exit code 1).
//
// usage: node bridge.mjs BROKERS TOPIC COUNT SECONDS

import { Kafka, logLevel } from "kafkajs";

const [brokers, topic, count, seconds] = process.argv.slice(2);
let left = Number(count);

const consumer = new Kafka({ clientId: "bridge", brokers: brokers.split(","), logLevel: logLevel.ERROR }).consumer({
  groupId: `bridge-${process.pid}`,
});

async function end(code) {
  await consumer.disconnect();
  process.exit(code);
}

const timer = setTimeout(() => {
  process.stderr.write(`${left} of ${count} messages missing after ${seconds} s\n`);
  void end(1);
}, Number(seconds) * 1000);

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    if (left === 0) return;
    const raw = message.value.toString();
    process.stdout.write(`${JSON.stringify({ event: JSON.parse(raw).tagid, raw })}\n`);
    left -= 1;
    if (left === 0) {
      clearTimeout(timer);
      setImmediate(() => void end(0));
    }
  },
});
