using System.Globalization;
using RbeMl.Fuzz;

try
{
    if (args is [Worker.Verb, string share, string progress, string folder, ..])
    {
        Worker.Run(Options.Parse(args[4..]), int.Parse(share, CultureInfo.InvariantCulture), progress, folder);
        return 0;
    }

    Options options = Options.Parse(args);
    return options.Case is { } number ? Replay.Run(options, number) : new Supervisor(options, args).Run() == 0 ? 0 : 1;
}
catch (FormatException error)
{
    Console.Error.WriteLine(error.Message);
    Console.Error.WriteLine(Options.Usage);
    return 2;
}
