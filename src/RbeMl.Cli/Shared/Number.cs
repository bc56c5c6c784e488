using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;
using RbeMl.Training;

namespace RbeMl.Cli;

/// <summary>
/// Numbers on the command line: the same in every country, digits with a point as the only mark, no thousands separators, white space, hexadecimal digits or
/// infinities. Whatever else is written is a usage error, never another number.
/// </summary>
internal static class Number
{
    private const NumberStyles WholeStyle = NumberStyles.AllowLeadingSign, RealStyle = WholeStyle | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;

    /// <summary>Reads a whole number.</summary>
    /// <param name="result">The words of the option; the last one counts.</param>
    /// <param name="name">Name of the option.</param>
    /// <param name="least">Least value.</param>
    /// <param name="most">Greatest value.</param>
    public static T Whole<T>(ArgumentResult result, string name, T least, T most)
        where T : struct, IBinaryInteger<T>, IMinMaxValue<T>
    {
        string text = result.Tokens[^1].Value;
        if (!BigInteger.TryParse(text, WholeStyle, CultureInfo.InvariantCulture, out BigInteger value))
        {
            result.AddError($"{name} {Shown(text)}: write a whole number in digits, without separators, such as 1000.");
        }
        else if (value < BigInteger.CreateChecked(least) || value > BigInteger.CreateChecked(most))
        {
            result.AddError(
                $"{name} {text}: use {least.ToString(null, CultureInfo.InvariantCulture)} or "
                    + $"more{AtMost(most, most == T.MaxValue && value <= BigInteger.CreateChecked(most))}.");
        }
        else
        {
            return T.CreateChecked(value);
        }

        return default;
    }

    /// <summary>Reads a number of steps, or one of minutes with an m behind it.</summary>
    /// <param name="result">The words of the option; the last one counts.</param>
    /// <param name="name">Name of the option.</param>
    public static SaveInterval Interval(ArgumentResult result, string name) => result.Tokens[^1].Value is [.. var minutes, 'm']
        ? SaveInterval.EveryMinutes(Real(result, minutes, name, 0, 1e6, above: false))
        : SaveInterval.EverySteps(Whole(result, name, 0, int.MaxValue));

    /// <summary>Reads a share below 1, also in per cent, or a whole number.</summary>
    /// <param name="result">The words of the option; the last one counts.</param>
    /// <param name="name">Name of the option.</param>
    /// <param name="most">Greatest whole number.</param>
    public static double Share(ArgumentResult result, string name, int most)
    {
        string text = result.Tokens[^1].Value;
        if (text is [.. var percent, '%']) return Real(result, percent, name, 0, 99.99, above: true) / 100;
        double value = Real(result, text, name, 0, most, above: true);
        if (value > 1 && value != Math.Floor(value)) result.AddError($"{name} {Shown(text)}: use a share below 1, such as 0.02 or 2%, or a whole number.");
        return value;
    }

    /// <summary>Reads a real number; 1e-3 is one.</summary>
    /// <param name="result">The words of the option; the last one counts.</param>
    /// <param name="name">Name of the option.</param>
    /// <param name="least">Least value.</param>
    /// <param name="most">Greatest value.</param>
    /// <param name="above">Whether the least value itself is out.</param>
    public static double Real(ArgumentResult result, string name, double least, double most, bool above) =>
        Real(result, result.Tokens[^1].Value, name, least, most, above);

    private static double Real(ArgumentResult result, string text, string name, double least, double most, bool above)
    {
        string word = result.Tokens[^1].Value;
        if (!double.TryParse(text, RealStyle, CultureInfo.InvariantCulture, out double value) || !text.AsSpan().ContainsAnyInRange('0', '9'))
        {
            result.AddError($"{name} {Shown(word)}: write a number with a point, without separators, such as 0.001 or 1e-3.");
        }
        else if (!double.IsFinite(value) || (above ? value <= least : value < least) || value > most)
        {
            string low = least.ToString(CultureInfo.InvariantCulture);
            result.AddError(
                $"{name} {word}: use {(above ? $"a number above {low}" : $"{low} or more")}{AtMost(most, most == double.MaxValue && value <= most)}.");
        }
        else
        {
            return value;
        }

        return default;
    }

    // A limit that nobody meets by accident is named to those who do.
    private static string AtMost<T>(T most, bool unbounded)
        where T : IFormattable
        => unbounded ? "" : $", at most {most.ToString(null, CultureInfo.InvariantCulture)}";

    private static string Shown(string text) => text.Length == 0 || text.AsSpan().ContainsAny(" \t\r\n") ? $"\"{text}\"" : text;
}
