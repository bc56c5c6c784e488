using System.Globalization;

namespace RbeMl;

/// <summary>Numbers of things in messages.</summary>
internal static class Amount
{
    /// <summary>"1 token", "12 tokens".</summary>
    /// <param name="count">How many.</param>
    /// <param name="one">What one is called.</param>
    /// <param name="more">What several are called; null for the same with an s.</param>
    public static string Of(long count, string one, string? more = null) =>
        string.Create(CultureInfo.InvariantCulture, $"{count} {(count == 1 ? one : more ?? one + "s")}");
}
