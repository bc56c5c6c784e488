namespace RbeMl.Codec;

/// <summary>Bits of a code as a type argument, so that a loop is compiled for each of them.</summary>
internal interface ICodeWidth
{
    /// <summary>The bits.</summary>
    static abstract int Bits { get; }
}

/// <summary>Two bits.</summary>
internal readonly struct Bits2 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 2;
}

/// <summary>Three bits.</summary>
internal readonly struct Bits3 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 3;
}

/// <summary>Four bits.</summary>
internal readonly struct Bits4 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 4;
}

/// <summary>Five bits.</summary>
internal readonly struct Bits5 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 5;
}

/// <summary>Six bits.</summary>
internal readonly struct Bits6 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 6;
}

/// <summary>Seven bits.</summary>
internal readonly struct Bits7 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 7;
}

/// <summary>Eight bits.</summary>
internal readonly struct Bits8 : ICodeWidth
{
    /// <inheritdoc/>
    public static int Bits => 8;
}
