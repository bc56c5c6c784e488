using System.Text.RegularExpressions;

namespace RbeMl.Cli.Output;

/// <summary>Matrices of a kind: of the same place in every block.</summary>
internal static partial class MatrixKinds
{
    /// <summary>A name with a star for the number of its block or layer.</summary>
    public static string Of(string name) => Numbers().Replace(name, "*");

    /// <summary>Least and largest of some figures; one of them where they read the same.</summary>
    public static string Range(IEnumerable<double> values, Func<double, string> format)
    {
        (string low, string high) = (format(values.Min()), format(values.Max()));
        return low == high ? low : $"{low} to {high}";
    }

    [GeneratedRegex("(?<=\\.)[0-9]+(?=\\.)", RegexOptions.CultureInvariant)]
    private static partial Regex Numbers();
}
