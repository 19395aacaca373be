import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Users } from './authentication.ts'

/** No code but ours, from here; nobody frames the page, so that nobody is led to press its button. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const html = 'text/html; charset=utf-8'
const assets = { 'page.css': 'text/css; charset=utf-8', 'connectors.js': 'text/javascript; charset=utf-8' }

/** The page of connectors, with the button that rotates their keys. Nothing secret is in it: what it shows, its script asks the API for. */
export async function pageRoutes(app: FastifyInstance, users: Users): Promise<void> {
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({ 'content-security-policy': policy, 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin' })
  })
  const page = readFile('connectors.html')
  app.get('/connectors', async (request, reply) => {
    const user = users.ofSession(request)
    if (user === null) return reply.redirect('/login')
    if (!user.admin) return reply.code(403).send({ error: 'that is for administrators' })
    return reply.type(html).header('cache-control', 'no-store').send(page)
  })
  for (const [name, type] of Object.entries(assets)) {
    const content = readFile(name)
    app.get(`/assets/${name}`, async (_request, reply) => reply.type(type).send(content))
  }
}

// Read once, at the start: no path of a request ever names a file.
const readFile = (name: string) => readFileSync(new URL(`../public/${name}`, import.meta.url), 'utf8')
