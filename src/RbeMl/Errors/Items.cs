namespace RbeMl;

/// <summary>Checks lists that callers give.</summary>
internal static class Items
{
    /// <summary>Fails where a list or one of its items is null.</summary>
    /// <typeparam name="T">Kind of item.</typeparam>
    /// <param name="items">The list.</param>
    /// <param name="name">The parameter.</param>
    /// <exception cref="ArgumentNullException">The list is null.</exception>
    /// <exception cref="ArgumentException">An item is.</exception>
    public static void Require<T>(IReadOnlyCollection<T?> items, string name)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(items, name);
        int place = 0;
        foreach (T? item in items)
        {
            place++;
            if (item is null)
            {
                throw new ArgumentException(
                    FormattableString.Invariant($"Item {place} of {items.Count} is null. Leave it out, or give what belongs there."), name);
            }
        }
    }

    /// <summary>Fails where an item is null of those that come one by one, so that nobody knows how many.</summary>
    /// <typeparam name="T">Kind of item.</typeparam>
    /// <param name="item">The item.</param>
    /// <param name="place">Its place, from 1.</param>
    /// <param name="name">The parameter.</param>
    /// <exception cref="ArgumentException">It is null.</exception>
    public static T Require<T>(T? item, int place, string name)
        where T : class =>
        item ?? throw new ArgumentException(FormattableString.Invariant($"Item {place} is null. Leave it out, or give what belongs there."), name);

    /// <summary>As <see cref="Require{T}(IReadOnlyCollection{T}, string)"/>, and gives the list back.</summary>
    /// <typeparam name="T">Kind of item.</typeparam>
    /// <inheritdoc cref="Require{T}(IReadOnlyCollection{T}, string)"/>
    public static IReadOnlyList<T> Checked<T>(IReadOnlyList<T> items, string name)
        where T : class
    {
        Require(items, name);
        return items;
    }
}
