// Asks iam-simulate, an evaluator of IAM policies that nobody here wrote, for verdicts.
//
// In, one JSON text: {"account": "...", "asked": [{"documents": [0, 3], "principal", "action",
// "resource", "context"}, ...], "documents": ["{...}", ...]}; `documents` are named by their place,
// so that a large one is sent and checked once. Out: one JSON list, "A" or "." each, in order.
// Whatever the simulator refuses to judge is an error: it says what, and nothing else is printed.
// With "lenient", a call that AWS does not have (this action on that resource) is "?", and keys that
// the action does not have are left out; nor does it know every key that AWS's policies use ("?").

import { readFileSync, writeFileSync } from 'node:fs'
import { createValidatedPolicy, validateIdentityPolicy } from '@cloud-copilot/iam-policy'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const NO_CALL = ['multiple.resource.types', 'no.resource.types', 'must.use.wildcard']

const { account, asked, documents, lenient } = JSON.parse(readFileSync(0, 'utf8'))
const policies = documents.map((text) => createValidatedPolicy(JSON.parse(text), validateIdentityPolicy))

async function verdict({ documents: named, principal, action, resource, context }) {
  const answer = await runSimulation(
    {
      request: {
        principal,
        action,
        resource: { resource, accountId: account },
        contextVariables: context,
      },
      identityPolicies: named.map((place) => ({ name: String(place), policy: policies[place] })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  )
  if (answer.resultType === 'error') {
    if (lenient && NO_CALL.includes(answer.errors.message)) return '?'
    const texts = named.map((place) => documents[place]).join('\n')
    throw new Error(`${action} on ${resource}: ${JSON.stringify(answer.errors)}\n${texts}`)
  }
  const ignored = lenient ? [] : (answer.result?.ignoredContextKeys ?? [])
  if (ignored.length > 0) throw new Error(`${action} on ${resource} takes no ${ignored.join(', ')}`)
  return answer.overallResult === 'Allowed' ? 'A' : '.'
}

// Keys that end in a name with a colon are found by the simulator and then not found again.
const unknownKey = (error) => lenient && /^Condition key .* not found$/.test(error.message)

const verdicts = []
for (const each of asked) {
  const answer = verdict(each).catch((error) => {
    if (unknownKey(error)) return '?'
    throw error
  })
  verdicts.push(await answer)
}
writeFileSync(1, JSON.stringify(verdicts))
