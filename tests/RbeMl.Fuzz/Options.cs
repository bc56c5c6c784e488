using System.Globalization;

namespace RbeMl.Fuzz;

/// <summary>What the command line says.</summary>
/// <param name="Kinds">The kinds to run.</param>
/// <param name="Seed">Seed of all cases.</param>
/// <param name="Time">How long; null for a number of cases.</param>
/// <param name="Cases">Cases of each kind.</param>
/// <param name="Case">The one case to replay; null for all.</param>
/// <param name="Workers">Processes.</param>
internal sealed record Options(IReadOnlyList<FuzzKind> Kinds, ulong Seed, TimeSpan? Time, long Cases, long? Case, int Workers)
{
    public const string Usage =
        """
        dotnet run -c Release --project tests/RbeMl.Fuzz -- [MINUTESm | CASES] [--seed N] [--kind NAME] [--case N] [--workers N]

          1m            for a minute (the default)
          100000        so many cases of each kind
          --seed N      other damage; the same seed gives the same cases (1)
          --kind NAME   one kind only, or those whose names begin so
          --case N      replays one case in this process
          --workers N   processes (one a processor)
        """;

    /// <summary>Reads the command line.</summary>
    /// <exception cref="FormatException">It is wrong.</exception>
    public static Options Parse(IReadOnlyList<string> arguments)
    {
        Options options = new(AllKinds.List, 1, TimeSpan.FromMinutes(1), long.MaxValue, null, Environment.ProcessorCount);
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (!argument.StartsWith('-'))
            {
                options = argument.EndsWith('m')
                    ? options with { Time = TimeSpan.FromMinutes(double.Parse(argument[..^1], CultureInfo.InvariantCulture)) }
                    : options with { Time = null, Cases = Whole(argument) };
                continue;
            }

            string value = ++i < arguments.Count ? arguments[i] : throw new FormatException($"{argument} needs a value.");
            options = argument switch
            {
                "--seed" => options with { Seed = (ulong)Whole(value) },
                "--case" => options with { Case = Whole(value) },
                "--workers" => options with { Workers = (int)Whole(value) },
                "--kind" => options with { Kinds = [.. AllKinds.List.Where(kind => kind.Name.StartsWith(value, StringComparison.Ordinal))] },
                _ => throw new FormatException($"{argument} is no option."),
            };
        }

        return options.Kinds.Count > 0 ? options
            : throw new FormatException($"There is no such kind. Use one of {string.Join(", ", AllKinds.List.Select(kind => kind.Name))}.");
    }

    private static long Whole(string text) => long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
