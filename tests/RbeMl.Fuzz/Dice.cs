namespace RbeMl.Fuzz;

/// <summary>Choices of one case: the same numbers for the same seed, on every machine (SplitMix64).</summary>
internal sealed class Dice(ulong seed)
{
    private ulong _state = seed;

    /// <summary>The dice of a case.</summary>
    public static Dice Of(ulong seed, string kind, long number)
    {
        ulong state = seed;
        foreach (char c in kind) state = (state ^ c) * 0x100000001B3;
        Dice dice = new(state ^ ((ulong)number * 0xD1342543DE82EF95));
        dice.Bits();
        return dice;
    }

    /// <summary>64 bits.</summary>
    public ulong Bits()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number from 0 to <paramref name="bound"/> - 1; 0 for a bound of 0.</summary>
    public int Below(int bound) => bound <= 0 ? 0 : (int)(Bits() % (ulong)bound);

    /// <summary>True once in <paramref name="times"/> times.</summary>
    public bool Once(int times) => Below(times) == 0;

    /// <summary>One of some.</summary>
    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];
}
