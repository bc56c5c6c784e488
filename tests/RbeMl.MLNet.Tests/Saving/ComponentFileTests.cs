using RbeMl.MLNet.Files;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>The bytes of a component, of more than one piece.</summary>
public sealed class ComponentFileTests
{
    private const string Name = "RbeThing";
    private const int Header = 14 + 8; // magic, version, length of the name; the name
    private const int Frame = 4 + 8; // of a piece: length and checksum
    private static readonly byte[] Body = RandomBody((2 * ComponentFile.PieceBytes) + 1000);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(ComponentFile.PieceBytes)]
    [InlineData(ComponentFile.PieceBytes + 1)]
    [InlineData(3 * ComponentFile.PieceBytes)]
    public void WhatIsWrittenIsRead(int length)
    {
        byte[] body = RandomBody(length), bytes = Write(body);
        int pieces = (length + ComponentFile.PieceBytes - 1) / ComponentFile.PieceBytes;
        Assert.Equal(Header + (pieces * Frame) + length + 4, bytes.Length);
        Assert.Equal(body, Read(bytes, length));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void EveryPieceIsChecked(int piece)
    {
        byte[] bytes = Write(Body);
        int start = Header + (piece * (Frame + ComponentFile.PieceBytes));
        int length = piece < 2 ? ComponentFile.PieceBytes : 1000;
        foreach (int at in (int[])[4, 4 + (length / 2), 4 + length - 1, 4 + length, 4 + length + 7]) // first, middle and last byte, and the checksum's
        {
            byte[] damaged = [.. bytes];
            damaged[start + at] ^= 1;
            Assert.Contains($"checksum of piece {piece} ", Refusal(damaged, Body.Length), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void PiecesInAnotherOrderAreRefused()
    {
        byte[] bytes = Write(Body);
        const int Piece = Frame + ComponentFile.PieceBytes;
        byte[] swapped =
            [.. bytes[..Header], .. bytes[(Header + Piece)..(Header + (2 * Piece))], .. bytes[Header..(Header + Piece)], .. bytes[(Header + (2 * Piece))..]];
        Assert.Contains("checksum of piece 0 ", Refusal(swapped, Body.Length), StringComparison.Ordinal);
        Assert.Contains("checksum of piece 1 ", Refusal([.. bytes[..(Header + Piece)], .. bytes[(Header + (2 * Piece))..]], Body.Length),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(10, 9)] // within a piece
    [InlineData(ComponentFile.PieceBytes + 1, ComponentFile.PieceBytes)] // a whole piece is left
    [InlineData(1, 0)]
    public void BytesThatNobodyReadsAreRefused(int written, int read)
        => Assert.Contains("longer than they should be", Refusal(Write(RandomBody(written)), read), StringComparison.Ordinal);

    [Fact]
    public void BytesThatEndEarlyAreRefused()
    {
        byte[] bytes = Write(Body);
        Assert.Contains("too early", Refusal(bytes, Body.Length + 1), StringComparison.Ordinal);
        foreach (int length in (int[])[0, 7, 13, Header - 1, Header, Header + 100, bytes.Length - 1])
        {
            Assert.Contains("too early", Refusal(bytes[..length], Body.Length), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void HeaderIsChecked()
    {
        byte[] bytes = Write([1, 2, 3]);
        for (int i = 0; i < 8; i++)
        {
            byte[] other = [.. bytes];
            other[i] ^= 0x20;
            Assert.Contains("of something else", Refusal(other, 3), StringComparison.Ordinal);
        }

        Assert.Contains("version 2", Refusal([.. bytes[..8], 2, .. bytes[9..]], 3), StringComparison.Ordinal);
        Assert.Contains("version 0", Refusal([.. bytes[..8], 0, .. bytes[9..]], 3), StringComparison.Ordinal);
        Assert.Contains("of a RbeTHing", Refusal([.. bytes[..18], (byte)'H', .. bytes[19..]], 3), StringComparison.Ordinal);
        Assert.Contains("piece of -1 bytes", Refusal([.. bytes[..Header], 255, 255, 255, 255, .. bytes[(Header + 4)..]], 3), StringComparison.Ordinal);
        Assert.Contains($"piece of {ComponentFile.PieceBytes + 1} bytes",
            Refusal([.. bytes[..Header], 1, 0, 16, 0, .. bytes[(Header + 4)..]], 3), StringComparison.Ordinal);
    }

    [Fact]
    public void SettingsThatNoComponentWroteAreDamage()
    {
        byte[] bytes = Write([1]);
        foreach (Exception inner in (Exception[])[new InvalidSettingException("Rows", 0, "use 1."), new TokenException("No kind."),
            new FormatException("Bad.")])
        {
            RbeFileException error = Assert.Throws<RbeFileException>(() => ComponentFile.Read<int>(new MemoryStream(bytes), Name, _ => throw inner));
            Assert.Same(inner, error.InnerException);
        }
    }

    private static byte[] RandomBody(int length)
    {
        byte[] body = new byte[length];
        new Random(length).NextBytes(body);
        return body;
    }

    private static byte[] Write(byte[] body)
    {
        using MemoryStream stream = new();
        ComponentFile.Write(stream, Name, writer => writer.Write(body));
        return stream.ToArray();
    }

    private static byte[] Read(byte[] bytes, int length) => ComponentFile.Read(new MemoryStream(bytes), Name, reader =>
    {
        byte[] body = new byte[length];
        reader.BaseStream.ReadExactly(body);
        return body;
    });

    private static string Refusal(byte[] bytes, int length) => Assert.Throws<RbeFileException>(() => Read(bytes, length)).Message;
}
