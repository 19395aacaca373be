import { ask, find, row, run, time } from './page.js'

const POLL_MS = 1_000
const number = new Intl.NumberFormat()
const plural = (count, one, many) => `${number.format(count)} ${count === 1 ? one : many}`

async function show() {
  const { answer } = await ask('GET', '/api/encryption')
  const active = answer.keys.find(({ state }) => state === 'active')
  find('active').textContent = answer.activeVersion === null ? 'none' : `Version ${answer.activeVersion}`
  find('active-since').replaceChildren(...(active ? ['since ', time(active.createdAt)] : []))
  find('count').textContent = number.format(answer.secrets)
  find('legacy').textContent = number.format(answer.legacy)
  find('legacy-means').textContent = answer.legacy === 0 ? 'nothing is in an older form' : 'in an older form: rotate to move them'
  find('keys').replaceChildren(
    ...answer.keys.map(({ version, state, rotatedBy, createdAt, retiredAt }) =>
      row(String(version), state, rotatedBy ?? '–', time(createdAt), time(retiredAt)),
    ),
  )
  return answer
}

find('rotate').addEventListener('click', () => {
  const dialog = find('confirm')
  find('confirm-text').textContent =
    `A new key is made and ${find('count').textContent} secrets are encrypted again with it. Calls go on meanwhile; the old key is retired at the end.`
  dialog.returnValue = ''
  dialog.onclose = () => {
    if (dialog.returnValue === 'rotate') run(find('rotate'), rotate)
  }
  dialog.showModal()
})

async function rotate() {
  find('done').textContent = 'Rotating…'
  try {
    const { status, answer } = await ask('POST', '/v1/admin/encryption/rotate')
    if (status === 202) return await untilRotated()
    const retired = answer.notRetired ? ` The old key could not be retired yet (${answer.notRetired}).` : ''
    // What is shown first is true by the time that it is said to be done.
    await show()
    find('done').textContent =
      `Version ${answer.newVersion} is active. ${plural(answer.reEncrypted, 'secret was', 'secrets were')} encrypted again.${retired}`
  } catch (error) {
    find('done').textContent = ''
    throw error
  }
}

/** The request is answered, and the rotation goes on. */
async function untilRotated() {
  find('done').textContent = 'Rotating. This takes longer; you may leave the page.'
  while ((await show()).rotating) await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  find('done').textContent = 'The rotation has ended.'
}

run(find('rotate'), show)
