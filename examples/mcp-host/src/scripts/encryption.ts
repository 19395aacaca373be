import { commandActor } from '@keyturn/core'
import { type Encryption, keyringName } from '../encryption.ts'
import { fatal, openWorld } from '../process.ts'

const usage = 'encryption.js status | rotate | rewrap [ROOT_ID to drop]'

// For an operator in the container, where no browser is at hand.
async function run([verb, drop]: readonly string[]): Promise<object> {
  const { encryption, close } = await openWorld()
  try {
    if (verb === 'status') return await encryption.encryptionStatus()
    if (verb === 'rotate') return await encryption.rotateKeys(commandActor())
    if (verb === 'rewrap') return await rewrap(encryption, drop)
    return { usage }
  } finally {
    await close()
  }
}

/** Wraps the keys under the root that is configured first. @param drop - then takes the wrappings under this one away */
async function rewrap({ keyturn }: Encryption, drop: string | undefined): Promise<object> {
  const [status] = (await keyturn.status(keyringName)).keyrings
  const before = status?.versions.find(({ state }) => state === 'active')?.roots
  return { before, ...(await keyturn.rewrap(keyringName, drop === undefined ? {} : { drop })) }
}

await run(process.argv.slice(2)).then((result) => console.log(JSON.stringify(result)), fatal)
