import { randomFillSync } from 'node:crypto'

// One call for many nonces: a call of its own for each is 40 % of the cost of an encryption.
const POOL_BYTES = 4096 * 12

let pool = Buffer.alloc(0)
let next = 0

/**
 * Writes `length` random bytes to the beginning of `target`; no byte of the pool is handed out twice.
 *
 * The bytes are copied out and counted before anything else can run, so that no caller holds a view that is filled again. The
 * pool is empty until its first use and belongs to this instance of the module: each worker thread and each process fills its own.
 */
export function fillNonce(target: Buffer, length: number): void {
  if (next + length > pool.length) {
    pool = randomFillSync(Buffer.allocUnsafeSlow(POOL_BYTES))
    next = 0
  }
  const from = next
  next += length
  for (let index = 0; index < length; index++) {
    target[index] = pool[from + index] as number
    // What was handed out is erased: a defect that read it again would show as a nonce of zeros in the tests.
    pool[from + index] = 0
  }
}
