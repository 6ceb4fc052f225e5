/** The commands in a Markdown text that ask the service, with the answers documented to them. Pure. */

export interface Example {
  /** Of the command, counted from 1. */
  line: number;
  command: string;
  /** The ```json block that directly follows; null when there is none. */
  json: string | null;
}

interface Block {
  language: string;
  line: number;
  text: string;
  /** Whether nothing but blank lines is between it and the block before. */
  followsBlock: boolean;
}

export function examplesOf(markdown: string): Example[] {
  const blocks = blocksOf(markdown);
  return blocks.flatMap(({ language, line, text }, i) => {
    if (language !== "bash" || !/\bcurl\b|localhost:8787/.test(text)) return [];
    const next = blocks[i + 1];
    const json = next?.language === "json" && next.followsBlock ? next.text : null;
    return [{ line, command: text, json }];
  });
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | null = null;
  let hasTextSince = false;
  markdown.split(/\r?\n/).forEach((text, i) => {
    const [, language] = /^```(\w*)/.exec(text) ?? [];
    if (open && language === "") {
      blocks.push(open);
      open = null;
      hasTextSince = false;
    } else if (open) open.text += `${text}\n`;
    else if (language !== undefined) {
      open = { language, line: i + 2, text: "", followsBlock: blocks.length > 0 && !hasTextSince };
    } else if (text.trim() !== "") hasTextSince = true;
  });
  return blocks;
}
