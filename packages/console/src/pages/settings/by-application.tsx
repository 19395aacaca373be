import { asProblem } from '../../api/problem.ts'
import { Row } from '../../parts/page.tsx'
import { Empty } from '../../parts/states.tsx'

/** Whether the server has no such route: it is mounted in an application that says itself who may come in. */
export const isAbsent = (error: unknown): boolean => error !== null && asProblem(error).status === 404

/** In place of users and tokens, where the application has its own. */
export const ByApplication = ({ title }: { title: string }) => (
  <Row title={title}>
    <Empty title="Your application says who may come in">
      Give and take roles there. Keyturn keeps no users and no tokens of its own here.
    </Empty>
  </Row>
)
