import { randomBytes } from 'node:crypto'
import { startAnthropic } from '../../doubles/anthropic.ts'
import { startAws } from '../../doubles/aws/aws.ts'
import { startEntra } from '../../doubles/entra.ts'
import { startFly } from '../../doubles/fly.ts'
import { startOkta } from '../../doubles/okta.ts'
import { startOnePassword } from '../../doubles/one-password.ts'
import { startOpenAi } from '../../doubles/openai.ts'
import { startPagerDuty } from '../../doubles/pagerduty.ts'
import { startSlack } from '../../doubles/slack.ts'
import { startFeed } from './feed.ts'
import { startGateway } from './gateway.ts'

/** Labels of the fields of each item in the vault. */
const items: { readonly [title: string]: readonly string[] } = {
  'jwt-signing-key': ['credential'],
  postgres: ['username', 'password'],
  redis: ['username', 'password'],
  anthropic: ['credential'],
  openai: ['credential'],
  'openai-development': ['credential'],
  okta: ['credential'],
  entra: ['credential'],
  aws: ['username', 'credential'],
  'threat-feed': ['credential'],
}

export type Providers = Awaited<ReturnType<typeof startProviders>>

/** Everybody whom CloudForge depends on, as doubles, and what it has from each before its first rotation. */
export async function startProviders() {
  const [fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty] = await Promise.all([
    startFly(),
    startOnePassword(),
    startAnthropic(),
    startOpenAi(),
    startOkta(),
    startEntra(),
    startAws(),
    startSlack(),
    startPagerDuty(),
  ])
  const [gateway, feed] = await Promise.all([startGateway(openai.origin), startFeed()])
  const vault = onePassword.createVault('cloudforge')
  const itemIds = new Map<string, string>()
  for (const [title, labels] of Object.entries(items)) {
    const fields = labels.map((label) => ({ label, type: 'CONCEALED', value: '' }))
    itemIds.set(title, onePassword.createItem(vault, title, fields).id)
  }
  const { token: flyToken } = fly.createApp('cloudforge')
  aws.account.addUser('cloudforge-api')
  const accessKey = aws.account.addKey('cloudforge-api')
  return {
    ...{ fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty, gateway, feed, flyToken, accessKey },
    feedKey: feed.buy(),
    anthropicKey: anthropic.makeKey('cloudforge').value,
    openaiKey: openai.makeUserKey('cloudforge').value,
    oktaToken: okta.makeToken('cloudforge').value,
    jwtSecret: randomBytes(48).toString('base64url'),
    /** Gives an item another title, as somebody does who tidies up. */
    retitle: async (title: string, next: string) => {
      const { status } = await fetch(`${onePassword.origin}/v1/vaults/${vault}/items/${itemIds.get(title)}`, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${onePassword.token}`, 'content-type': 'application/json' },
        body: JSON.stringify([{ op: 'replace', path: '/title', value: next }]),
      })
      if (status !== 200) throw new Error(`the item was not changed: ${status}`)
    },
    /** Somebody edits an item in the application. */
    edit: (title: string, label: string, value: string) => onePassword.editElsewhere(itemIds.get(title) ?? '', label, value),
    /** What a field of an item holds. */
    held: (title: string, label: string) => onePassword.item(itemIds.get(title) ?? '').fields.find((field) => field.label === label)?.value,
    close: async () => {
      await gateway.close()
      await feed.close()
      for (const each of [fly, onePassword, anthropic, openai, okta, entra, aws, slack, pagerDuty]) await each.stop()
    },
  }
}
