import { expect, test } from 'vitest'
import { startChild } from '../../../../test/harness/child.ts'

/** What a person does with the link that was printed: makes the first user, and watches a rotation. */
async function firstSteps(link: string): Promise<object> {
  const { origin, hash } = new URL(link)
  const json = { 'content-type': 'application/json', 'x-keyturn': '1' }
  const made = await fetch(`${origin}/v1/setup`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ token: hash.slice(1), name: 'ada', password: 'a long password of hers' }),
  })
  const headers = {
    ...json,
    cookie: made.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; '),
  }
  // What stands under which key was counted at the start.
  const counted = async () => ((await (await fetch(`${origin}/v1/keyrings/app`, { headers })).json()) as { census: unknown }).census
  await expect.poll(counted).not.toBeNull()
  const begun = await fetch(`${origin}/v1/rotations`, { method: 'POST', headers, body: JSON.stringify({ keyring: 'app', accept: true }) })
  const { id } = (await begun.json()) as { id: string }
  for (;;) {
    const rotation = (await (await fetch(`${origin}/v1/rotations/${id}`, { headers })).json()) as { state: string }
    if (rotation.state === 'completed') return rotation
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

test('"keyturn demo --serve" opens the console on the example application, with a rotation to start.', async () => {
  const child = startChild('packages/cli/bin/keyturn.js', ['demo', '--serve', '--rows', '400', '--port', '0', '--json'])
  try {
    await child.printed('}\n')
    const { setup, url } = JSON.parse(child.stdout) as { setup: string; url: string }
    expect(await firstSteps(setup)).toMatchObject({ state: 'completed', startedBy: 'user:ada', setAside: expect.any(Number) })
    expect((await fetch(`${url}/keys`, { headers: { accept: 'text/html' } })).status).toBe(200)
    expect((await child.kill('SIGTERM')).code).toBe(0)
  } finally {
    await child.kill()
  }
})
