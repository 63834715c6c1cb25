"""Common corruptions of pictures: noise, blur, weather and what files and screens do, in five published severities."""
