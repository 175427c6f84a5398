import type { Command } from 'commander';

/**
 * Lets a command that only has others below it, and these, refuse the name of one that does not exist also where help is asked
 * for, which commander would answer with the help of the command above.
 */
export function refuseUnknown(command: Command): Command {
  const names = command.commands.flatMap((one) => [one.name(), ...one.aliases()]);
  command.on('beforeHelp', () => {
    const name = command.args.find((text) => !text.startsWith('-') && text !== 'help');
    if (command.commands.length === 0 || name === undefined || names.includes(name)) return;
    command.error(`error: unknown command '${name}'; there are ${names.join(', ')}`);
  });
  command.commands.forEach(refuseUnknown);
  return command;
}
