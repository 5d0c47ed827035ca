// Real sessions, and a page, over a bad network and a server that is killed. FAULT_SECONDS and FAULT_SEED choose
// another run.
import { runFaults } from '../chat_faults.mjs';

export default async function chatFaults({ server, browser }) {
  const seconds = Number(process.env.FAULT_SECONDS ?? 20);
  const seed = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 1e6));
  try {
    await runFaults({ server, browser, seconds, seed, log: (text) => console.log(`  seed ${seed}: ${text}`) });
  } catch (error) {
    console.log(`  FAULT_SEED=${seed} FAULT_SECONDS=${seconds} node run.mjs chat_faults`);
    throw error;
  }
}
