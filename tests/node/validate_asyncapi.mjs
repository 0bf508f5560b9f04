// Usage: node validate_asyncapi.mjs FILE
// Says what AsyncAPI's own parser finds wrong with FILE, on stderr and by exit code 1.
// If nothing is, prints the document as JSON, as an independent YAML parser understands it.
import { readFileSync } from "node:fs";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";
import yaml from "js-yaml";

const file = process.argv[2];
const text = readFileSync(file, "utf8");
const { document, diagnostics } = await new Parser().parse(text, { source: file });

const problems = diagnostics.filter((found) => found.severity <= DiagnosticSeverity.Warning);
for (const { code, message, path } of problems) {
  console.error(`${code} at ${path.join(".")}: ${message}`);
}
if (problems.length > 0 || document === undefined) {
  process.exitCode = 1;
} else {
  console.log(JSON.stringify(yaml.load(text)));
}
