const find = (id) => document.getElementById(id)
const number = new Intl.NumberFormat()

async function ask(method, path, headers = {}) {
  const response = await fetch(path, { method, headers })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.detail ?? answer.error ?? `Floh answers ${response.status}.`)
  return { status: response.status, answer }
}

/** Always as text: names are what somebody has typed. */
function listed(text) {
  const item = document.createElement('li')
  item.textContent = text
  return item
}

async function run(work) {
  find('error').textContent = ''
  try {
    await work()
  } catch (error) {
    find('progress').textContent = ''
    find('error').textContent = error.message
  }
}

async function rotate() {
  find('result').hidden = true
  find('failures').replaceChildren()
  find('progress').textContent = 'Rotating…'
  // The request wants a bearer, which no browser sends by itself. This one stays in here, and ends with its hour.
  const { token } = (await ask('POST', '/api/tokens')).answer
  const { status, answer } = await ask('POST', '/api/connectors/rotate-keys', { Authorization: `Bearer ${token}` })
  if (status === 202) {
    find('progress').textContent = 'It takes longer, and goes on by itself. Rotate again later to see what it came to.'
    return
  }
  for (const name of ['total', 'rotated', 'skipped']) find(name).textContent = number.format(answer[name])
  find('failed').textContent = number.format(answer.failed.length)
  const failures = answer.failed.map(({ table, row, reason }) => listed(`${table} ${Object.values(row).join(', ')}: ${reason}`))
  find('failures').replaceChildren(...failures)
  find('result').hidden = false
  find('progress').textContent = 'Done, counted in documents.'
}

find('rotate').addEventListener('click', () => {
  const dialog = find('confirm')
  dialog.returnValue = ''
  dialog.onclose = async () => {
    if (dialog.returnValue !== 'rotate') return
    find('rotate').disabled = true
    await run(rotate)
    find('rotate').disabled = false
  }
  dialog.showModal()
})

run(async () => {
  const { answer } = await ask('GET', '/api/connectors')
  find('none').hidden = answer.length > 0
  find('connectors').replaceChildren(...answer.map(({ name }) => listed(name)))
})
