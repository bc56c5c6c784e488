using System.Globalization;

namespace RbeMl.Tests.Support;

/// <summary>Cultures as hosts have them. The tests run without the data of any, so what matters here is written down.</summary>
internal static class Cultures
{
    /// <summary>A culture that writes numbers and signs as de-DE, ar-SA or fa-IR do.</summary>
    public static CultureInfo Like(string name)
    {
        (string point, string group, string minus, string nan) = name switch
        {
            "de-DE" => (",", ".", "-", "NaN"),
            "ar-SA" => ("\u066B", "\u066C", "\u061C-", "\u0644\u064A\u0633 \u0631\u0642\u0645"),
            "fa-IR" => ("/", "\u066C", "\u200E\u2212", "\u0646\u0627\u0639\u062F\u062F"),
            _ => throw new ArgumentException(name),
        };
        CultureInfo culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        NumberFormatInfo numbers = culture.NumberFormat;
        (numbers.NumberDecimalSeparator, numbers.PercentDecimalSeparator, numbers.CurrencyDecimalSeparator) = (point, point, point);
        (numbers.NumberGroupSeparator, numbers.PercentGroupSeparator, numbers.CurrencyGroupSeparator) = (group, group, group);
        (numbers.NegativeSign, numbers.NaNSymbol, numbers.PositiveInfinitySymbol) = (minus, nan, "\u221E!");
        return culture;
    }
}
