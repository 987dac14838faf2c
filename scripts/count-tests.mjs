// Ends a CI run: prints what failed, then "N passed, N failed". Fails when anything failed or no test ran.
//   node scripts/count-tests.mjs TESTS.json EXITCODE [PART=EXITCODE …]
// TESTS.json is written by vitest's json reporter, which ended with EXITCODE; a PART is any other check and counts as one
// test.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const [file, testsCode, ...parts] = process.argv.slice(2);
const failures = [];
let passed = 0;

for (const part of parts) {
  const [name, code] = part.split("=");
  if (code === "0") passed++;
  else failures.push(`${name}: ended with exit code ${code}`);
}

const tests = testsOf(file);
for (const { status, title } of tests) {
  if (status === "passed") passed++;
  else if (status === "failed") failures.push(title);
}
if (!tests.some(({ status }) => status === "passed")) failures.push("tests: none passed");
// For example an error outside of any test.
else if (testsCode !== "0" && !tests.some(({ status }) => status === "failed")) {
  failures.push(`tests: ended with exit code ${testsCode}`);
}

const skipped = tests.length - tests.filter(({ status }) => status === "passed" || status === "failed").length;
if (skipped > 0) console.log(`${skipped} skipped`);
for (const failure of failures) console.log(`FAILED ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** One entry per test, and one failed entry per file that failed as a whole, such as on an import. */
function testsOf(path) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return [{ status: "failed", title: "tests: no report was written" }];
  }
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const shown = relative(process.cwd(), name);
    const results = assertionResults.map(({ status, fullName, failureMessages }) => ({
      status,
      title: `${shown} > ${fullName}: ${firstLine(failureMessages[0])}`,
    }));
    const whole = status === "failed" && !results.some((result) => result.status === "failed");
    return whole ? [...results, { status: "failed", title: `${shown}: ${firstLine(message)}` }] : results;
  });
}

function firstLine(text = "") {
  return text.split("\n", 1)[0];
}
